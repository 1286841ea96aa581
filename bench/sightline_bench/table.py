"""The figures of a run on the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from sightline_bench.measure.results import Figure
from sightline_bench.report import wording

_STYLES = {True: "green", False: "red", None: "yellow"}


def show(figures: Mapping[str, Figure], console: Console) -> None:
    """A line for each figure, and below them under which setting each holds and what else to know."""
    console.print(_lines(figures))
    console.print()
    console.print(_notes(figures))


def _lines(figures: Mapping[str, Figure]) -> Table:
    table = Table(box=None, pad_edge=True, header_style="dim", padding=(0, 1))
    table.add_column("figure", overflow="fold")
    for column in ("median", "low - high", "to reach"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for key, figure in figures.items():
        style = _STYLES[figure.reached]
        table.add_row(
            Text.assemble(figure.title, "\n", (key, "dim")),
            Text(wording.value(figure), _value_style(figure)),
            wording.spread(figure),
            wording.target(figure),
            Text(wording.verdict(figure), style),
        )
    return table


def _notes(figures: Mapping[str, Figure]) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for key, figure in figures.items():
        table.add_row(Text(key), Text(wording.about(figure), "dim" if figure.ratio else "yellow"))
    return table


def _value_style(figure: Figure) -> str:
    return "yellow" if figure.ratio is None else "bold"
