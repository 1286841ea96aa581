"""The figures of a run on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sightline_bench.measure.results import Figure

_VERDICTS = {True: Text("reached", "green"), False: Text("missed", "yellow"), None: Text("")}


def show(figures: Mapping[str, Figure], console: Console) -> None:
    """A line for each figure, and below it under which setting it holds and what else to know."""
    table = Table(title="Medians over the rounds, and the lowest and highest of them", title_justify="left")
    table.add_column("figure", overflow="fold")
    for column in ("median", "low - high", "to reach"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for key, figure in figures.items():
        table.add_row(f"{figure.title}\n[dim]{key}", *_numbers(figure), _VERDICTS[figure.reached])
    console.print(table)
    for key, figure in figures.items():
        told = "; ".join(filter(None, [figure.setting, figure.note]))
        console.print(f"{key}: {told}", style="dim" if figure.ratio else "yellow", markup=False, highlight=False)


def _numbers(figure: Figure) -> tuple[str, str, str]:
    target = ""
    if figure.target is not None:
        target = f"{'≥' if figure.better == 'higher' else '≤'} {figure.target:g}{_unit(figure)}"
    if figure.ratio is None:
        return "not measured", "", target
    ratio = figure.ratio
    return f"{ratio.median:.3g}{_unit(figure)}", f"{ratio.low:.3g} - {ratio.high:.3g}", target


def _unit(figure: Figure) -> str:
    return "" if figure.unit == "x" else f" {figure.unit}"
