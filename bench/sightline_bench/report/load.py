"""Throughput against latency under load, and where the server's time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from sightline_bench.load.server_statistics import PHASES
from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units
from sightline_bench.report import plots
from sightline_bench.report.plots import Curve

Row = Mapping[str, Any]
_PHASES = {phase: phase.removeprefix("compute_") for phase in PHASES}
_COLOURS = {
    "letterbox": ("#dbeafe", "#93c5fd", "#2563eb", "#1e3a8a"),
    "network": ("#ccfbf1", "#5eead4", "#0f766e", "#134e4a"),
}
"""Of each step of a detector, one for each phase."""
_LETTERBOX = "letterbox"


def section(results: Results) -> Iterator[str]:
    """Plots and tables of the sweeps."""
    yield "<h2>Under load</h2>"
    found = results.sections.get("load")
    if found is None:
        yield document.paragraph("Not measured: it comes with the figure p99_over_queue_model.", kind="quiet")
        return
    if found["driver_note"]:
        yield document.paragraph(found["driver_note"], kind="warning")
    rows = [row for row in found["sweeps"] if "failure" not in row]
    yield from _curves(rows)
    yield from _ways(rows)
    yield from _stages(rows)
    for row in found["sweeps"]:
        if "failure" in row:
            yield document.paragraph(f"{row['title']}: not measured, {row['failure']}", kind="warning")
    yield from _everything(rows)
    yield from _queue(found["queue"])


def _plain(row: Row) -> bool:
    return row["protocol"] == "grpc" and not row["shared_memory"]


def _curves(rows: Sequence[Row]) -> Iterator[str]:
    kinds: tuple[tuple[str, Callable[[Row], bool], Callable[[Row], str]], ...] = (
        (
            "one image a request, so many in flight",
            lambda row: row["batch"] == 1 and bool(row["concurrency"]),
            lambda row: str(row["concurrency"]),
        ),
        (
            "so many images a request, two in flight",
            lambda row: row["batch"] > 1,
            lambda row: f"{row['batch']} a request",
        ),
        ("requests at random moments (Poisson)", lambda row: bool(row["request_rate"]), lambda row: ""),
    )
    curves = [
        _curve(title, [row for row in rows if _plain(row) and belongs(row)], label) for title, belongs, label in kinds
    ]
    curves = [curve for curve in curves if curve.points]
    if curves:
        caption = "gRPC without shared memory: throughput and latency of whole requests, by the program that sent them."
        yield document.figure(plots.latency_plot(curves), caption)


def _curve(title: str, rows: Sequence[Row], label: Callable[[Row], str]) -> Curve:
    points = [(row["images_per_second"], row["latency_ms"]["p50"], row["latency_ms"]["p99"]) for row in rows]
    return Curve(title=title, points=points, labels=[label(row) for row in rows])


def _ways(rows: Sequence[Row]) -> Iterator[str]:
    """The same load over gRPC and HTTP, with and without shared memory."""
    others = [row for row in rows if not _plain(row)]
    same = [(row["concurrency"], row["batch"]) for row in others]
    chosen = [row for row in rows if (row["concurrency"], row["batch"]) in same]
    if not others:
        return
    rates = {_way(row): row["runs"] for row in chosen}
    number = others[0]["concurrency"]
    yield document.figure(
        plots.rates_plot(rates, salt="ways"),
        f"The same images, {number} requests in flight, by protocol: images a second.",
    )
    cells = [
        (
            escape(_way(row)),
            units.rate(row["images_per_second"]),
            *(units.milliseconds(row["latency_ms"][part]) for part in ("p50", "p90", "p95", "p99")),
        )
        for row in chosen
    ]
    yield document.table(("", ">images/s", ">p50", ">p90", ">p95", ">p99"), cells)


def _way(row: Row) -> str:
    protocol = {"grpc": "gRPC", "http": "HTTP"}[row["protocol"]]
    return f"{protocol}, shared memory" if row["shared_memory"] else protocol


def _stages(rows: Sequence[Row]) -> Iterator[str]:
    shown = {row["title"]: parts for row in rows if (parts := _parts(row))}
    if not shown:
        return
    colours = {
        f"{step}: {_PHASES[phase]}": colour
        for step, of_step in _COLOURS.items()
        for phase, colour in zip(PHASES, of_step, strict=True)
    }
    yield "<h3>Where the server's time goes</h3>"
    yield document.figure(
        plots.stages_plot(shown, colours),
        "The server's own counters: mean milliseconds of a request in each step, as shares of their sum, which stands "
        "at the right. Queue: waiting for an instance. Input, output: tensors to the model's process and back.",
    )


def _parts(row: Row) -> dict[str, float]:
    """Milliseconds by step and phase of what is not the whole detector; of several networks, their mean."""
    parts: dict[str, float] = {}
    for step, models in _steps(row["steps"]).items():
        for phase, name in _PHASES.items():
            parts[f"{step}: {name}"] = sum(each[f"{phase}_ms"] for each in models) / len(models)
    return parts


def _steps(told: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The models of each step; the ensemble itself, which only sums them up, is left out."""
    letterboxes = [step for model, step in told.items() if model.startswith(_LETTERBOX)]
    networks = [step for model, step in told.items() if model.endswith("_net")]
    return {step: models for step, models in (("letterbox", letterboxes), ("network", networks)) if models}


def _everything(rows: Sequence[Row]) -> Iterator[str]:
    cells = []
    for row in rows:
        latency = [units.milliseconds(row["latency_ms"][part]) for part in ("p50", "p99")]
        steps = _steps(row["steps"])
        batches = [
            f"{sum(each['images_an_execution'] for each in steps[step]) / len(steps[step]):.1f}"
            if step in steps
            else "-"
            for step in _COLOURS
        ]
        runs = row["runs"]
        spread = f"{units.rate(min(runs))} - {units.rate(max(runs))}"
        note = escape("; ".join(filter(None, [row["generator"], row["note"]])))
        cells.append((escape(row["title"]), units.rate(row["images_per_second"]), spread, *latency, *batches, note))
    heads = (
        "load",
        ">images/s",
        ">low - high",
        ">p50",
        ">p99",
        ">images in a letterbox batch",
        ">in a network batch",
        "sent by",
    )
    yield f"<details><summary>Every load</summary>{document.table(heads, cells)}</details>"


def _queue(rounds: Sequence[Row]) -> Iterator[str]:
    yield "<h3>Random arrivals beside a simulated queue</h3>"
    cells = [
        (
            str(number),
            f"{each['requests']:,}",
            units.milliseconds(each["service_ms"]),
            f"{each['request_rate']:.1f}",
            units.milliseconds(each["p50_ms"]),
            units.milliseconds(each["p99_ms"]),
            units.milliseconds(each["model_p99_ms"]),
            f"{each['p99_ms'] / each['model_p99_ms']:.2f}",
        )
        for number, each in enumerate(rounds, start=1)
    ]
    heads = (">round", ">requests", ">service", ">requests/s", ">p50", ">p99", ">p99 simulated", ">ratio")
    yield document.table(heads, cells)
