"""A profile as a page that stands alone: text, tables and plots in one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from sightline_bench.pages import document, units
from sightline_bench.profile import plots, wording
from sightline_bench.profile.layers import Layer, LayerTable
from sightline_bench.profile.profile import Profile
from sightline_bench.profile.roofline import Roof

_RANKED = 8


def write_page(profile: Profile, path: Path) -> None:
    """Write the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    document.check_matplotlib()
    document.write_page(path, render(profile))


def render(profile: Profile) -> str:
    """The page's text."""
    return document.document(f"{profile.detector.name}: where its time goes", _body(profile))


def _body(profile: Profile) -> Iterator[str]:
    yield document.header("profile", profile.detector.name, profile.machine)
    yield _cards(profile)
    yield "".join(f"<p>{escape(sentence)}</p>" for sentence in wording.verdict(profile))
    if busy := wording.busy(profile):
        yield f"<p class=warning>{escape(busy)}</p>"
    yield from _served(profile)
    yield from _roofline(profile)
    yield from _ways(profile)
    yield from _batches(profile)
    for table in profile.tables:
        yield from _layers(profile, table)
    yield from _end(profile)


def _cards(profile: Profile) -> str:
    main, cost = profile.main, profile.counted.cost
    table = wording.main_table(profile)
    bound = "-" if table.intensity is None else profile.comparison.roof.bound(table.intensity, table.precision)
    cards = [
        (f"{cost.parameters / 1e6:.1f} M", "parameters"),
        (f"{cost.flops / 1e9:.1f}", "GFLOPs for a picture"),
        (units.milliseconds(main.milliseconds.median), f"latency, {main.variant.engine} {main.variant.precision}"),
        (units.rate(main.images_per_second), "FPS, one after the other"),
        (f"{main.flops_per_second / 1e9:.1f}", "GFLOP/s achieved"),
        (units.percent(main.peak_share.median), "of the measured peak"),
        (bound, "bound"),
        (units.seconds(main.loading.load_seconds), "engine's load time"),
        (units.size(main.loading.memory_bytes), "memory (PSS)"),
        (units.rate(profile.served.streamed.images_per_second), "images/s served"),
    ]
    return document.cards(cards)


def _served(profile: Profile) -> Iterator[str]:
    served = profile.served
    whole = sum(served.stages.values())
    yield "<h2>A served picture</h2>"
    yield document.figure(plots.stages_plot(profile), "What the time of a picture that is served alone is made of.")
    rows = [
        (
            f'<i style="background:{plots.STAGE_COLOURS[name]}"></i>{escape(name)}',
            units.milliseconds(value),
            units.percent(value / whole),
            escape(wording.STAGE_MEANINGS[name] + (f" ({', '.join(served.formats)})" if name == "write" else "")),
        )
        for name, value in served.stages.items()
    ]
    rows.append(("together", units.milliseconds(whole), "", f"mean of {len(served.taken.seconds)} pictures"))
    rows.append(("load", units.seconds(served.load_seconds), "", "once: until every model is warm"))
    yield document.table(("stage", ">time", ">share", "what it is"), rows)
    streamed = served.streamed
    yield (
        f"<h3>As a stream</h3><p>{units.rate(streamed.images_per_second)} images/s over {streamed.images} pictures; "
        f"the server's processes hold {units.size(streamed.memory_bytes)} at the most; {escape(served.engine)}.</p>"
    )
    yield document.table(
        ("step", ">instances", ">at work", ">ms for a picture", ">pictures in a batch", ">in the queue"),
        [
            (
                escape(step.model),
                str(step.instances),
                units.percent(step.busy),
                f"{step.milliseconds:.1f}",
                f"{step.mean_batch:.1f}",
                units.milliseconds(step.queue_milliseconds),
            )
            for step in streamed.steps
        ],
    )


def _roofline(profile: Profile) -> Iterator[str]:
    yield "<h2>Roofline</h2>"
    for table in profile.tables:
        if table.intensity is not None:
            yield document.figure(
                plots.roofline_plot(profile, table),
                f"{table.source}. Each circle is a layer, its area its share of the time; the star is all of them.",
            )


def _ways(profile: Profile) -> Iterator[str]:
    yield "<h2>Ways to run the network</h2>"
    yield document.figure(
        plots.variants_plot(profile), "Latency for one picture: median, and the lowest and highest round."
    )
    rows = [
        (
            escape(each.variant.subject.detector.name),
            escape(f"{each.variant.engine} {each.loading.version}"),
            each.variant.precision,
            f"{each.variant.subject.counted.cost.parameters / 1e6:.1f} M",
            f"{each.variant.subject.counted.cost.flops / 1e9:.1f}",
            units.milliseconds(each.milliseconds.median),
            units.rate(each.images_per_second),
            f"{each.flops_per_second / 1e9:.1f}",
            units.percent(each.peak_share.median),
            units.seconds(each.loading.load_seconds),
            units.seconds(each.loading.first_seconds),
            units.size(each.loading.memory_bytes),
        )
        for each in profile.comparison.measured
    ]
    yield document.table(
        (
            "detector",
            "engine",
            "",
            ">parameters",
            ">GFLOPs",
            ">latency",
            ">FPS",
            ">GFLOP/s",
            ">of peak",
            ">load",
            ">first run",
            ">memory",
        ),
        rows,
    )
    for each in profile.comparison.measured:
        if each.variant.note:
            yield f"<p class=warning>{escape(each.variant.name)}: {escape(each.variant.note)}</p>"
    for left in profile.comparison.left_out:
        yield f"<p class=warning>{escape(left.name)}: not measured, {escape(left.reason)}</p>"


def _batches(profile: Profile) -> Iterator[str]:
    yield "<h2>Batches</h2>"
    yield document.figure(plots.batches_plot(profile), f"{profile.main.variant.name}, larger and larger batches.")
    yield document.table(
        (">batch", ">latency", ">images/s", ">memory"),
        [
            (
                str(point.batch),
                units.milliseconds(1000 * point.seconds),
                units.rate(point.images_per_second),
                units.size(point.memory_bytes),
            )
            for point in profile.batches.points
        ],
    )
    if profile.batches.stopped:
        yield f"<p class=warning>{escape(profile.batches.stopped)}</p>"


def _layers(profile: Profile, table: LayerTable) -> Iterator[str]:
    roof = profile.comparison.roof
    clock = "" if table.wall_milliseconds is None else f", by the clock {units.milliseconds(table.wall_milliseconds)}"
    parts = ", ".join(f"{part} {units.milliseconds(value)}" for part, value in table.by_part().items())
    yield f"<h2>Layers: {escape(table.source)}</h2>"
    yield (
        f"<p>{len(table.layers)} layers, together {units.milliseconds(table.milliseconds)}{clock} ({escape(parts)}); "
        f"{units.percent(table.assigned)} of the graph's operations were found in them.</p>"
    )
    if table.note:
        yield f"<p class=warning>{escape(table.note)}</p>"
    yield document.figure(plots.layers_plot(profile, table), "Time of every layer.")
    kinds = [
        (escape(kind), units.milliseconds(ms), units.percent(ms / table.milliseconds))
        for kind, ms in table.by_kind().items()
    ]
    yield "<div class=side>"
    yield "<div><h3>By kind</h3>" + document.table(("kind", ">time", ">share"), kinds[:_RANKED]) + "</div>"
    yield "<div><h3>Slowest</h3>" + _layer_table(table.slowest(_RANKED), table, roof, brief=True) + "</div>"
    yield (
        "<div><h3>Most efficient</h3>" + _layer_table(table.most_efficient(_RANKED), table, roof, brief=True) + "</div>"
    )
    least = _layer_table(table.least_efficient(_RANKED), table, roof, brief=True)
    yield f"<div><h3>Least efficient, of those that compute</h3>{least}</div></div>"
    everything = _layer_table(table.layers, table, roof)
    yield f"<details><summary>All {len(table.layers)} layers in order</summary>{everything}</details>"


def _layer_table(layers: Sequence[Layer], table: LayerTable, roof: Roof, *, brief: bool = False) -> str:
    rows, length = [], 30 if brief else 60
    for layer in layers:
        intensity, computes = layer.intensity, bool(layer.flops)
        reached = layer.flops_per_second / roof.peak(layer.precision)
        cells = [
            f'<span title="{escape(layer.name)}">{escape(wording.short(layer.name, length=length))}</span>',
            f"{layer.milliseconds:.2f}",
            units.percent(table.share(layer)),
            f"{layer.flops_per_second / 1e9:.1f}" if computes else "-",
            units.percent(reached) if computes else "-",
        ]
        if not brief:
            cells[1:1] = [escape(layer.kind), escape(layer.implementation), layer.part, layer.precision]
            cells += [
                f"{layer.flops / 1e6:,.0f}" if computes else "-",
                f"{intensity:.1f}" if computes and intensity is not None else "-",
                roof.bound(intensity, layer.precision) if computes and intensity is not None else "-",
            ]
        rows.append(cells)
    heads = ["layer", ">ms", ">share", ">GFLOP/s", ">of peak"]
    if not brief:
        heads[1:1] = ["kind", "implementation", "part", ""]
        heads += [">MFLOP", ">FLOP/byte", "bound"]
    return document.table(heads, rows)


def _end(profile: Profile) -> Iterator[str]:
    yield "<h2>How it was measured</h2><ul>"
    yield "".join(f"<li>{escape(line)}</li>" for line in wording.methods(profile))
    tree, system = document.commit_words(profile.commit), document.software(profile.machine, profile.versions)
    yield f"</ul><p class=quiet>Pictures: {escape(profile.pictures)}. {profile.seconds:.0f} s in all. Commit {tree}."
    yield f"<br>{escape(system)}</p>"
