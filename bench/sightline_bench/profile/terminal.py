"""A profile on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sightline.sources import printable
from sightline_bench.pages import units
from sightline_bench.profile import wording
from sightline_bench.profile.layers import Layer, LayerTable
from sightline_bench.profile.profile import Profile
from sightline_bench.profile.roofline import Roof

_BAR, _STAGE_BAR = 28, 20
_BLOCKS = " ▏▎▍▌▋▊▉"
_BAR_STYLE = "cyan"
_RANKED = 5
_WIDE = 110
"""Columns of a terminal from which on tables have all of theirs."""


def show(profile: Profile, console: Console, *, layers: int) -> None:
    """Print everything; of the layers, the slowest."""
    for part in _parts(profile, layers=layers, wide=console.width >= _WIDE):
        console.print(part)


def _parts(profile: Profile, *, layers: int, wide: bool) -> Iterator[RenderableType]:
    yield ""
    yield _head(profile)
    yield from _section("A served picture, alone", _stages(profile))
    yield from _section("As a stream", _stream(profile))
    yield from _section("Ways to run the network", _variants(profile))
    yield from _section("Batches", _batches(profile))
    for table in profile.tables:
        yield from _section(f"Layers: {table.source}", _layers(table, profile.comparison.roof, layers, wide=wide))
    yield from _section("Roofline", _roof(profile))
    yield Padding(Text("\n".join(wording.methods(profile)), style="dim"), (1, 2))


def _section(title: str, content: RenderableType) -> Iterator[RenderableType]:
    yield ""
    yield Text(f" {printable(title)}", style="bold")
    yield Padding(content, (0, 2))


def _head(profile: Profile) -> RenderableType:
    cost, machine = profile.counted.cost, profile.machine
    info = profile.detector.info
    first = Text.assemble(
        (printable(profile.detector.name), "bold green"),
        f"  {cost.parameters / 1e6:.1f} M parameters · {cost.flops / 1e9:.1f} GFLOPs for a picture · "
        f"{info.preprocessing} · {info.precision}",
    )
    second = Text(
        f"{machine['cpu']}, {machine['usable_cores']:g} cores, load {machine['load_average']:.1f}", style="dim"
    )
    said = Text("\n" + "\n".join(wording.verdict(profile)))
    if busy := wording.busy(profile):
        said.append(f"\n{busy}", style="yellow")
    return Panel(Group(first, second, said), border_style="green", padding=(0, 2))


def bar(share: float, width: int = _BAR) -> Text:
    """A bar of eighths of a character; 1 fills the width."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    full, rest = divmod(eighths, 8)
    return Text("█" * full + (_BLOCKS[rest] if rest else ""), style=_BAR_STYLE)


def _grid(*columns: str) -> Table:
    """A table without lines; a column that begins with `>` is aligned to the right."""
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(
            column.removeprefix(">"),
            justify="right" if column.startswith(">") else "left",
            no_wrap=column.startswith(">"),
        )
    return table


def _stages(profile: Profile) -> RenderableType:
    stages = profile.served.stages
    whole = sum(stages.values())
    table = _grid("", ">", ">share", "", "")
    for name, value in stages.items():
        meaning = wording.STAGE_MEANINGS[name]
        if name == "write":
            meaning += f" ({', '.join(profile.served.formats)})"
        share = value / whole
        table.add_row(
            name,
            units.milliseconds(value),
            units.percent(share),
            bar(share, _STAGE_BAR),
            Text(meaning, style="dim"),
        )
    taken = sorted(profile.served.taken.seconds)
    highest = f"median {units.milliseconds(1000 * taken[len(taken) // 2])}, highest {taken[-1] * 1000:.0f} ms"
    table.add_row(
        "together", units.milliseconds(whole), "", "", Text(f"of {len(taken)} pictures: {highest}", style="dim")
    )
    table.add_row(
        "load",
        units.seconds(profile.served.load_seconds),
        "",
        "",
        Text("once: from starting the server until every model is warm", style="dim"),
    )
    return table


def _stream(profile: Profile) -> RenderableType:
    streamed = profile.served.streamed
    table = _grid("step", ">instances", ">at work", ">ms/picture", ">batch", ">in the queue")
    for step in streamed.steps:
        table.add_row(
            step.model,
            str(step.instances),
            units.percent(step.busy),
            f"{step.milliseconds:.1f}",
            f"{step.mean_batch:.1f}",
            units.milliseconds(step.queue_milliseconds),
        )
    failed = f", {streamed.failed} failed" if streamed.failed else ""
    first = (
        f"{units.rate(streamed.images_per_second)} images/s over {streamed.images} pictures{failed}; the server's "
        f"processes hold {units.size(streamed.memory_bytes)} at the most; {profile.served.engine}"
    )
    return Group(Text(first), table)


def _variants(profile: Profile) -> RenderableType:
    table = _grid("", ">latency", ">lowest", ">highest", ">FPS", ">GFLOP/s", ">of peak", ">load", ">memory")
    for each in profile.comparison.measured:
        taken = each.milliseconds
        table.add_row(
            each.variant.name.replace(", ", "\n"),
            units.milliseconds(taken.median),
            units.milliseconds(taken.low),
            units.milliseconds(taken.high),
            units.rate(each.images_per_second),
            f"{each.flops_per_second / 1e9:.1f}",
            units.percent(each.peak_share.median),
            units.seconds(each.loading.load_seconds),
            units.size(each.loading.memory_bytes),
        )
    notes = [f"{each.variant.name}: {each.variant.note}" for each in profile.comparison.measured if each.variant.note]
    notes += [f"{each.name}: not measured, {each.reason}" for each in profile.comparison.left_out]
    return Group(table, *(Text(printable(note), style="yellow") for note in notes))


def _batches(profile: Profile) -> RenderableType:
    points = profile.batches.points
    best = max(point.images_per_second for point in points)
    table = _grid(">batch", ">latency", ">images/s", "", ">memory")
    for point in points:
        table.add_row(
            str(point.batch),
            units.milliseconds(1000 * point.seconds),
            units.rate(point.images_per_second),
            bar(point.images_per_second / best),
            units.size(point.memory_bytes),
        )
    stopped = [Text(printable(profile.batches.stopped), style="yellow")] if profile.batches.stopped else []
    return Group(table, *stopped)


def _layers(table: LayerTable, roof: Roof, count: int, *, wide: bool) -> RenderableType:
    clock = "" if table.wall_milliseconds is None else f", by the clock {units.milliseconds(table.wall_milliseconds)}"
    parts = ", ".join(f"{part} {units.milliseconds(value)}" for part, value in table.by_part().items())
    first = (
        f"{len(table.layers)} layers, together {units.milliseconds(table.milliseconds)}{clock} ({parts}); "
        f"{units.percent(table.assigned)} of the operations found in them"
    )
    kinds = [f"{kind} {units.percent(value / table.milliseconds)}" for kind, value in table.by_kind().items()]
    lines: list[RenderableType] = [Text(first), Text("by kind: " + ", ".join(kinds[:_RANKED]), style="dim")]
    if table.note:
        lines.append(Text(table.note, style="yellow"))
    for title, found in (
        ("slowest", table.slowest(count)),
        ("most efficient", table.most_efficient(_RANKED)),
        ("least efficient, of those that compute", table.least_efficient(_RANKED)),
    ):
        lines += ["", Text(title, style="italic"), _layer_rows(found, table, roof, wide=wide)]
    return Group(*lines)


def _layer_rows(layers: Sequence[Layer], table: LayerTable, roof: Roof, *, wide: bool) -> Table:
    heads = ["layer", ">ms", ">share", ">GFLOP/s", ">of peak", ">FLOP/byte"]
    grid = _grid(*heads, *(["bound", "kind", ""] if wide else []))
    for layer in layers:
        intensity = layer.intensity
        computes = bool(layer.flops)
        reached = layer.flops_per_second / roof.peak(layer.precision)
        bound = roof.bound(intensity, layer.precision) if computes and intensity is not None else ""
        more: list[str | Text] = [bound, printable(layer.kind), bar(table.share(layer) * 5, 10)] if wide else []
        grid.add_row(
            printable(wording.short(layer.name, length=46 if wide else 28)),
            f"{layer.milliseconds:.2f}",
            units.percent(table.share(layer)),
            f"{layer.flops_per_second / 1e9:.1f}" if computes else "-",
            units.percent(reached) if computes else "-",
            f"{intensity:.0f}" if computes and intensity is not None else "-",
            *more,
        )
    return grid


def _roof(profile: Profile) -> RenderableType:
    roof = profile.comparison.roof
    peaks = ", ".join(f"{name} {wording.gflops(value)}" for name, value in roof.flops_per_second.items())
    lines = [Text(f"peak {peaks}; memory {roof.bytes_per_second / 1e9:.1f} GB/s")]
    for table in profile.tables:
        if table.intensity is None:
            continue
        counts = {"memory": 0.0, "compute": 0.0}
        for layer in table.layers:
            if layer.flops and layer.intensity is not None:
                counts[roof.bound(layer.intensity, layer.precision)] += table.share(layer)
        name = table.source.split(",")[0]
        lines.append(
            Text(
                f"{name}: {table.intensity:.0f} FLOP/byte, ridge {roof.ridge(table.precision):.1f}; "
                f"time in compute-bound layers {units.percent(counts['compute'])}, in memory-bound ones that compute "
                f"{units.percent(counts['memory'])}, in those that only move data "
                f"{units.percent(max(0.0, 1 - sum(counts.values())))}"
            )
        )
    return Group(*lines)
