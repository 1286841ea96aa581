"""Figures for people, and what they mean."""

from __future__ import annotations

from collections.abc import Iterator

from sightline_bench.pages.units import milliseconds, percent, rate
from sightline_bench.profile.layers import LayerTable
from sightline_bench.profile.profile import Profile

STAGE_MEANINGS = {
    "read": "the file, from disk or the system's cache",
    "decode": "from bytes to pixels",
    "letterbox": "resizing and grey borders",
    "network": "the detector",
    "NMS": "decoding boxes, suppression, back to original pixels",
    "Triton": "queues, and tensors copied to the models' processes",
    "transport": "packing, gRPC both ways, the ensemble's scheduler",
    "write": "what was found",
}


def gflops(value: float) -> str:
    """Operations a second."""
    value /= 1e9
    return f"{value:,.0f} GFLOP/s" if value >= 100 else f"{value:.1f} GFLOP/s"


def short(name: str, *, length: int = 46) -> str:
    """A layer's name without its part's prefix, its end where it is long."""
    for prefix in ("network_/", "network_", "front_", "back_"):
        name = name.removeprefix(prefix)
    for ending in ("/WithoutBiases", "_nchwc", "_output_0"):
        name = name.removesuffix(ending)
    return name if len(name) <= length else f"…{name[1 - length :]}"


def main_table(profile: Profile) -> LayerTable:
    """Layers of the engine that is served, or of the first that told."""
    own = [table for table in profile.tables if table.source.startswith(profile.main.variant.engine)]
    return (own or list(profile.tables))[0]


def verdict(profile: Profile) -> Iterator[str]:
    """What the figures say, in a few sentences."""
    main, roof = profile.main, profile.comparison.roof
    precision, table = main.variant.precision, main_table(profile)
    yield (
        f"{profile.detector.name} takes {milliseconds(main.milliseconds.median)} for a picture in "
        f"{main.variant.engine} ({precision}, {main.variant.job.threads} threads): {gflops(main.flops_per_second)}, "
        f"{percent(main.peak_share.median)} of what large matrix products reached in the same rounds."
    )
    if table.intensity is not None:
        bound = roof.bound(table.intensity, precision)
        allowed = table.attainable_milliseconds(roof)
        assert allowed is not None
        yield (
            f"As a whole it is {bound}-bound: {table.intensity:.0f} operations for each byte that its layers read and "
            f"write; here memory is the limit below {roof.ridge(precision):.1f}, arithmetic above. Layers at their "
            f"limits would take {milliseconds(allowed)}; they take {milliseconds(table.milliseconds)}."
        )
    yield from _served_verdict(profile)


def _served_verdict(profile: Profile) -> Iterator[str]:
    served = profile.served
    whole = sum(served.stages.values())
    most = max(served.stages, key=lambda name: served.stages[name])
    busiest = served.streamed.busiest
    yield (
        f"Served alone, a picture takes {milliseconds(whole)}, {percent(served.stages[most] / whole)} of it {most}. "
        f"As a stream, {rate(served.streamed.images_per_second)} images/s; {busiest.model} is at work "
        f"{percent(busiest.busy)} of the time."
    )


def busy(profile: Profile) -> str:
    """A warning where the machine had other work; empty where it had not."""
    load, cores = profile.machine["load_average"], profile.machine["usable_cores"]
    # What is profiled keeps every core busy itself.
    if load <= 1.5 * cores + 1:
        return ""
    return (
        f"This machine had other work (load {load:.1f} on {cores:g} cores): times are too long, and layers may seem to "
        "exceed the peak; only ratios within one round count."
    )


def methods(profile: Profile) -> Iterator[str]:
    """How the figures came about, for whoever doubts them."""
    rounds = len(profile.main.milliseconds.runs)
    yield (
        f"Ways to run it and the machine's peaks took turns in {rounds} rounds; figures are medians, and shares of the "
        "peak are ratios within one round."
    )
    yield (
        "The peak is the fastest product of two 2048 x 2048 matrices, by numpy or OpenVINO; the bandwidth the fastest "
        "copy of 256 MiB by all threads, read and written bytes together."
    )
    yield (
        "Operations are those of convolutions and matrix products, a multiplication with its addition counting as two. "
        "Bytes are what a layer reads and writes, weights too, as if nothing stayed in a cache: a layer above its roof "
        "had its data there."
    )
    yield ("Layers were timed by the engine's own counters in runs of their own, and the same runs by the clock.")
    yield (
        "The served picture: means over pictures that went through one after the other, by the client's clock and the "
        f"server's counters. What an instance there computes with: {profile.served.engine}."
    )
    yield from _share_methods(profile)
    yield "Everything ran on the CPU. Memory is proportional set size (PSS), sampled 20 times a second."


def _share_methods(profile: Profile) -> Iterator[str]:
    served = profile.served
    for what, share in (
        ("Decode and letterbox: DALI's decoder alone beside the whole", served.decode),
        ("Network and NMS: the graph without its head beside the whole", served.network),
    ):
        if share.part is None:
            yield f"{what}: not told apart, {share.reason}"
        else:
            times = f"{milliseconds(share.part_milliseconds)} of {milliseconds(share.whole_milliseconds)}"
            yield f"{what}, in turns, the fastest of each: {times}, {percent(share.part)} of what the server counted."
    table = main_table(profile)
    if head := table.by_part().get("head"):
        yield (
            f"Beside that, the engine's own counters give {percent(head / table.milliseconds)} of the graph's time to "
            "what is behind the network."
        )
