"""A profile as a page that stands alone: text, tables and plots in one HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from sightline.errors import MissingDependencyError, OutputError
from sightline.writers.files import reason_of
from sightline_bench.profile import plots, wording
from sightline_bench.profile.layers import Layer, LayerTable
from sightline_bench.profile.profile import Profile
from sightline_bench.profile.roofline import Roof

_RANKED = 8
_STYLE = Path(__file__).with_name("page.css")


def check_matplotlib() -> None:
    """Fail before the work, not behind it.

    Raises:
        MissingDependencyError: matplotlib, of the `evaluate` extra, is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the page needs matplotlib, of the evaluate extra ({error}): `make install` in a checkout, or no --html"
        ) from error


def write_page(profile: Profile, path: Path) -> None:
    """Write the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    check_matplotlib()
    text = render(profile)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason_of(error)}") from error


def render(profile: Profile) -> str:
    """The page's text."""
    name = escape(profile.detector.name)
    body = "\n".join(_body(profile))
    style = _STYLE.read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name}: where its time goes</title>\n<style>\n{style}</style></head>\n<body><main>\n{body}\n"
        "</main></body></html>\n"
    )


def _body(profile: Profile) -> Iterator[str]:
    machine = profile.machine
    yield f"<header><p class=kind>profile</p><h1>{escape(profile.detector.name)}</h1>"
    yield (
        f"<p class=quiet>{escape(str(machine['cpu']))} · {machine['usable_cores']:g} cores · "
        f"{escape(', '.join(machine['features']) or 'no vector instructions named')} · "
        f"{wording.size(machine['memory_bytes'])} memory · load {machine['load_average']:.1f}</p></header>"
    )
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
        (wording.milliseconds(main.milliseconds.median), f"latency, {main.variant.engine} {main.variant.precision}"),
        (wording.rate(main.images_per_second), "FPS, one after the other"),
        (f"{main.flops_per_second / 1e9:.1f}", "GFLOP/s achieved"),
        (wording.percent(main.peak_share.median), "of the measured peak"),
        (bound, "bound"),
        (wording.seconds(main.loading.load_seconds), "engine's load time"),
        (wording.size(main.loading.memory_bytes), "memory (PSS)"),
        (wording.rate(profile.served.streamed.images_per_second), "images/s served"),
    ]
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in cards)
    return f"<section class=cards>{inner}</section>"


def _served(profile: Profile) -> Iterator[str]:
    served = profile.served
    whole = sum(served.stages.values())
    yield "<h2>A served picture</h2>"
    yield _figure(plots.stages_plot(profile), "What the time of a picture that is served alone is made of.")
    rows = [
        (
            f'<i style="background:{plots.STAGE_COLOURS[name]}"></i>{escape(name)}',
            wording.milliseconds(value),
            wording.percent(value / whole),
            escape(wording.STAGE_MEANINGS[name] + (f" ({', '.join(served.formats)})" if name == "write" else "")),
        )
        for name, value in served.stages.items()
    ]
    rows.append(("together", wording.milliseconds(whole), "", f"mean of {len(served.taken.seconds)} pictures"))
    rows.append(("load", wording.seconds(served.load_seconds), "", "once: until every model is warm"))
    yield _table(("stage", ">time", ">share", "what it is"), rows)
    streamed = served.streamed
    yield (
        f"<h3>As a stream</h3><p>{wording.rate(streamed.images_per_second)} images/s over {streamed.images} pictures; "
        f"the server's processes hold {wording.size(streamed.memory_bytes)} at the most; {escape(served.engine)}.</p>"
    )
    yield _table(
        ("step", ">instances", ">at work", ">ms for a picture", ">pictures in a batch", ">in the queue"),
        [
            (
                escape(step.model),
                str(step.instances),
                wording.percent(step.busy),
                f"{step.milliseconds:.1f}",
                f"{step.mean_batch:.1f}",
                wording.milliseconds(step.queue_milliseconds),
            )
            for step in streamed.steps
        ],
    )


def _roofline(profile: Profile) -> Iterator[str]:
    yield "<h2>Roofline</h2>"
    for table in profile.tables:
        if table.intensity is not None:
            yield _figure(
                plots.roofline_plot(profile, table),
                f"{table.source}. Each circle is a layer, its area its share of the time; the star is all of them.",
            )


def _ways(profile: Profile) -> Iterator[str]:
    yield "<h2>Ways to run the network</h2>"
    yield _figure(plots.variants_plot(profile), "Latency for one picture: median, and the lowest and highest round.")
    rows = [
        (
            escape(each.variant.subject.detector.name),
            escape(f"{each.variant.engine} {each.loading.version}"),
            each.variant.precision,
            f"{each.variant.subject.counted.cost.parameters / 1e6:.1f} M",
            f"{each.variant.subject.counted.cost.flops / 1e9:.1f}",
            wording.milliseconds(each.milliseconds.median),
            wording.rate(each.images_per_second),
            f"{each.flops_per_second / 1e9:.1f}",
            wording.percent(each.peak_share.median),
            wording.seconds(each.loading.load_seconds),
            wording.seconds(each.loading.first_seconds),
            wording.size(each.loading.memory_bytes),
        )
        for each in profile.comparison.measured
    ]
    yield _table(
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
    yield _figure(plots.batches_plot(profile), f"{profile.main.variant.name}, larger and larger batches.")
    yield _table(
        (">batch", ">latency", ">images/s", ">memory"),
        [
            (
                str(point.batch),
                wording.milliseconds(1000 * point.seconds),
                wording.rate(point.images_per_second),
                wording.size(point.memory_bytes),
            )
            for point in profile.batches.points
        ],
    )
    if profile.batches.stopped:
        yield f"<p class=warning>{escape(profile.batches.stopped)}</p>"


def _layers(profile: Profile, table: LayerTable) -> Iterator[str]:
    roof = profile.comparison.roof
    clock = "" if table.wall_milliseconds is None else f", by the clock {wording.milliseconds(table.wall_milliseconds)}"
    parts = ", ".join(f"{part} {wording.milliseconds(value)}" for part, value in table.by_part().items())
    yield f"<h2>Layers: {escape(table.source)}</h2>"
    yield (
        f"<p>{len(table.layers)} layers, together {wording.milliseconds(table.milliseconds)}{clock} ({escape(parts)}); "
        f"{wording.percent(table.assigned)} of the graph's operations were found in them.</p>"
    )
    if table.note:
        yield f"<p class=warning>{escape(table.note)}</p>"
    yield _figure(plots.layers_plot(profile, table), "Time of every layer.")
    kinds = [
        (escape(kind), wording.milliseconds(ms), wording.percent(ms / table.milliseconds))
        for kind, ms in table.by_kind().items()
    ]
    yield "<div class=side>"
    yield "<div><h3>By kind</h3>" + _table(("kind", ">time", ">share"), kinds[:_RANKED]) + "</div>"
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
            wording.percent(table.share(layer)),
            f"{layer.flops_per_second / 1e9:.1f}" if computes else "-",
            wording.percent(reached) if computes else "-",
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
    return _table(heads, rows)


def _end(profile: Profile) -> Iterator[str]:
    commit = profile.commit
    tree = f"{commit['commit'][:12] or 'no checkout'}{', with changes' if commit['dirty'] else ''}"
    versions = ", ".join(f"{name} {version}" for name, version in profile.versions.items())
    yield "<h2>How it was measured</h2><ul>"
    yield "".join(f"<li>{escape(line)}</li>" for line in wording.methods(profile))
    system = f"{profile.machine['system']}, Python {profile.machine['python']}; {versions}"
    yield f"</ul><p class=quiet>Pictures: {escape(profile.pictures)}. {profile.seconds:.0f} s in all. Commit {tree}."
    yield f"<br>{escape(system)}</p>"


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; a head that begins with `>` aligns its column to the right."""
    heads = list(heads)
    sides = [' class="n"' if head.startswith(">") else "" for head in heads]
    top = "".join(f"<th{side}>{escape(head.removeprefix('>'))}</th>" for head, side in zip(heads, sides, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>\n{lines}</tbody></table></div>"
