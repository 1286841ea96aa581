"""The command that runs rows and writes the page."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import click

from sightline_bench.models_table.command import Row, run_table, table_options
from sightline_bench.models_table.results import Results

from .five import GROUP
from .measure import measure_group, measure_row
from .page import render
from .rows import precision_rows


@click.command()
@table_options(results="precisions.json", page="models-precision.md")
def main(data: Path, *, only: tuple[str, ...], again: bool, no_run: bool, results: Path, page: Path) -> None:  # noqa: PLR0913
    """Export models in every precision through the gate, compare them as they are served, and write the page.

    Each row's result is kept as soon as it is there, so that a run that was ended goes on where it was.
    """
    kept = Results(results)
    run_table(
        () if no_run else _rows(data),
        kept,
        only=only,
        again=again,
        page=page,
        render=lambda: render(kept),
        line=lambda name: f"done in {kept[name]['seconds']} s",
    )


def _rows(data: Path) -> Iterator[Row]:
    for row in precision_rows():
        yield row.name, partial(measure_row, row, data=data, tell=click.echo)
    yield GROUP, partial(measure_group, data=data, tell=click.echo)


if __name__ == "__main__":
    main()
