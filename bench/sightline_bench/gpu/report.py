"""The outcome on the terminal: a table of what each part does alone, and one of what is served."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from sightline.errors import MeasurementError
from sightline_bench.gpu.figures import Row, letterbox_milliseconds
from sightline_bench.gpu.measure import Measured
from sightline_bench.gpu.outcome import REHEARSAL
from sightline_bench.gpu.plan import Plan
from sightline_bench.gpu.survey import Place
from sightline_bench.measure.rounds import Ratio

_MIB = 2**20


def show(measured: Measured, plan: Plan, place: Place, console: Console) -> None:
    """Both tables, and what was left out."""
    if place == "cpu":
        console.print(f"[bold yellow]{REHEARSAL}")
    _show_alone(measured, plan, console)
    _show_served(measured, console)
    for reason in plan.left_out:
        console.print(f"not measured: {reason}", style="yellow", markup=False, highlight=False)
    for row in [*measured.rows, *(row for race in measured.races for row in race.rows)]:
        if row.failure:
            text = f"not measured: {row.variant.name}: {row.failure}"
            console.print(text, style="yellow", markup=False, highlight=False)


def _show_alone(measured: Measured, plan: Plan, console: Console) -> None:
    table = _table("Alone: medians over the rounds", "images/s", "low - high", "letterbox ms")
    beyond = letterbox_milliseconds(plan.alone, measured.passes)
    for row in measured.rows:
        if row.rates is not None:
            letterbox = beyond.get(row.variant.name)
            told = f"{letterbox.median:.3f}" if letterbox else ""
            table.add_row(row.variant.name, *_numbers(row.rates, "{:,.0f}"), told, *_use(row))
    console.print(table)


def _show_served(measured: Measured, console: Console) -> None:
    table = _table("Served: by the smaller of engine and decoder", "images/s", "of the limit", "low - high")
    for race in measured.races:
        for row in race.rows:
            if row.rates is None:
                continue
            try:
                ratio = _numbers(race.ratio(row), "{:.3f}")
            except MeasurementError as error:
                ratio = ("none", str(error))
            table.add_row(row.variant.name, f"{row.rates.median:,.0f}", *ratio, *_use(row))
        console.print(f"{race.model}, {race.photos}: the limit is {race.smaller() or 'not known'}", highlight=False)
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("", overflow="fold")
    for column in (*columns, "GPU busy", "peak MiB", "watts"):
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _numbers(ratio: Ratio, form: str) -> tuple[str, str]:
    return form.format(ratio.median), f"{form.format(ratio.low)} - {form.format(ratio.high)}"


def _use(row: Row) -> Sequence[str]:
    if row.use is None:
        return "", "", ""
    busy, peak, watts = row.use.busy_percent, row.use.peak_bytes, row.use.watts
    return (
        "" if busy is None else f"{busy:.0f} %",
        "" if peak is None else f"{peak / _MIB:,.0f}",
        "" if watts is None else f"{watts:.0f}",
    )
