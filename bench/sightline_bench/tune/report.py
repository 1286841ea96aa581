"""What was measured, on the terminal and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.rounds import Pass, Ratio, throughput
from sightline_bench.tune.run import Tuned
from sightline_bench.tune.search import Row
from sightline_bench.tune.setups import Setup
from sightline_bench.tune.trial import LATENCY

SCHEMA = 1


def show(tuned: Tuned, console: Console) -> None:
    """Every comparison, what was left out, and what was found."""
    latency = "one image, ms" if tuned.options.objective == "throughput" else "p95, ms"
    table = Table(title="Medians over the rounds; each block took turns", title_justify="left")
    table.add_column("setting", overflow="fold")
    for column in ("images/s", "low - high", latency, "CPU ms/image", "÷ as it is", "low - high"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    axis = ""
    for row in tuned.outcome.rows:
        if row.axis != axis:
            axis = row.axis
            table.add_section()
            table.add_row(Text(axis, "bold"))
        table.add_row(Text(f"  {row.setting}"), *_cells(row), Text(row.verdict, "green" if row.taken else ""))
    console.print(table)
    if tuned.outcome.left_out:
        console.print(f"no time for: {'; '.join(tuned.outcome.left_out)}", style="yellow", markup=False)


def _cells(row: Row) -> Sequence[str]:
    if not row.passes:
        return ("",) * 6
    rate, spent = _ratio(row.passes, throughput), _ratio(row.passes, _cpu_ms)
    against = row.against
    return (
        f"{rate.median:.1f}",
        f"{rate.low:.1f} - {rate.high:.1f}",
        f"{_ratio(row.passes, _latency).median:.0f}",
        f"{spent.median:.1f}",
        f"{against.median:.3f}" if against else "",
        f"{against.low:.3f} - {against.high:.3f}" if against else "",
    )


def _ratio(passes: Sequence[Pass], figure: Any) -> Ratio:
    return Ratio(tuple(map(figure, passes)))


def _cpu_ms(one: Pass) -> float:
    return 1000 * one.cpu_seconds / one.images


def _latency(one: Pass) -> float:
    return one.details[LATENCY]


def as_json(tuned: Tuned, *, written: Sequence[str]) -> dict[str, Any]:
    """Everything; `written` are the files that were changed."""
    outcome, options = tuned.outcome, tuned.options
    return {
        "schema": SCHEMA,
        "model": options.model,
        "objective": options.objective,
        "clients": options.clients if options.objective == "latency" else 1,
        "minutes": options.minutes,
        "images": tuned.images,
        "engines": {model: asdict(engine) for model, engine in tuned.engines.items()},
        "start": _setup(outcome.start),
        "best": _setup(outcome.best),
        "images_per_request": outcome.batch_size,
        "gain": _as_numbers(outcome.gain),
        "written": list(written),
        "comparisons": [_row(row) for row in outcome.rows],
        "left_out": list(outcome.left_out),
        "machine": describe_machine(),
        "versions": describe_versions(),
        **describe_commit(),
    }


def _setup(setup: Setup) -> dict[str, Any]:
    return {model: asdict(schedule) for model, schedule in setup.schedules.items()}


def _row(row: Row) -> dict[str, Any]:
    return {
        "axis": row.axis,
        "setting": row.setting,
        "verdict": row.verdict,
        "taken": row.taken,
        "over_champion": _as_numbers(row.against),
        "passes": [asdict(one) for one in row.passes],
    }


def _as_numbers(ratio: Ratio | None) -> dict[str, Any] | None:
    if ratio is None:
        return None
    return {"median": ratio.median, "low": ratio.low, "high": ratio.high, "runs": list(ratio.runs)}
