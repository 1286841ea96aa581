"""The command that runs rows and writes the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from .command import run_table, table_options
from .measure import measure
from .page import render, verdict
from .results import Results
from .rows import rows


@click.command()
@table_options(results="models.json", page="models.md")
def main(data: Path, *, only: tuple[str, ...], again: bool, no_run: bool, results: Path, page: Path) -> None:  # noqa: PLR0913
    """Export every model of the table through the gate, and write docs/models.md.

    Each row's result is kept as soon as it is there, so that a run that was ended goes on where it was.
    """
    kept = Results(results)
    run_table(
        () if no_run else ((row.name, partial(measure, row, data=data)) for row in rows()),
        kept,
        only=only,
        again=again,
        page=page,
        render=lambda: render(rows(), kept),
        line=lambda name: verdict(kept[name]),
    )


if __name__ == "__main__":
    main()
