"""What a GPU gave, where there was one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from sightline_bench.gpu.absence import SECTION
from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units
from sightline_bench.report import plots

Row = Mapping[str, Any]


def section(results: Results) -> Iterator[str]:
    """What was measured alone and served; else why it was not."""
    yield "<h2>On a GPU</h2>"
    told = results.sections.get(SECTION)
    if told is None:
        yield document.paragraph("Not measured: every figure above is the processor's.", kind="quiet")
        return
    if not told["measured"]:
        yield document.paragraph(f"Not measured: {told['reason']}.", kind="warning")
        if "rehearsal" in told:
            yield "<details><summary>The rehearsal</summary>"
            yield from _tables(told["rehearsal"])
            yield "</details>"
        return
    yield document.paragraph(", ".join(f"{name} {value}" for name, value in told["gpu"].items()), kind="quiet")
    yield from _served_plot(told["served"])
    yield from _tables(told)


def _served_plot(rows: Sequence[Row]) -> Iterator[str]:
    shares = {row["name"]: row["over_limit"]["runs"] for row in rows if row["over_limit"]["runs"]}
    if shares:
        label = "served ÷ the smaller of engine and decoder"
        svg = plots.rates_plot(shares, salt="gpu", label=label, show=lambda share: f"{share:.2f}")
        yield document.figure(svg, "Throughput served, as a part of the smaller limit of the same round.")


def _tables(told: Mapping[str, Any]) -> Iterator[str]:
    for reason in told["left_out"]:
        yield document.paragraph(f"Not measured: {reason}", kind="warning")
    yield "<h3>Served</h3>"
    heads = (">images/s", ">low - high", ">GPU busy", ">peak memory", ">watts")
    served = [(*_cells(row), _share(row["over_limit"]), _share(row["over_graph_limit"])) for row in told["served"]]
    yield document.table(("", *heads, ">of the limit", ">of that with CUDA graphs"), served)
    yield "<h3>Alone</h3>"
    beyond = told["letterbox_ms"]
    alone = [(*_cells(row), _letterbox(beyond.get(row["name"]))) for row in told["alone"]]
    yield document.table(("", *heads, ">letterbox, ms an image"), alone)


def _cells(row: Row) -> tuple[str, ...]:
    rate, use = row["images_per_second"], row["gpu"] or {}
    busy, peak, watts = (use.get(name) for name in ("busy_percent", "peak_bytes", "watts"))
    name = escape(row["name"])
    if rate["median"] is None:
        return (f"{name}<br>not measured: {escape(row['failure'])}", "-", "-", "-", "-", "-")
    return (
        name,
        units.rate(rate["median"]),
        f"{units.rate(rate['low'])} - {units.rate(rate['high'])}",
        "-" if busy is None else f"{busy:.0f} %",
        "-" if peak is None else units.size(peak),
        "-" if watts is None else f"{watts:.0f}",
    )


def _share(spread: Mapping[str, Any]) -> str:
    if spread["median"] is None:
        return "-"
    return f"{spread['median']:.2f} ({spread['low']:.2f} - {spread['high']:.2f})"


def _letterbox(spread: Mapping[str, Any] | None) -> str:
    return "-" if spread is None or spread["median"] is None else f"{spread['median']:.3f}"
