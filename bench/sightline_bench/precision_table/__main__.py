"""The command that runs rows and writes the page."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click

from sightline.errors import SightlineError
from sightline_bench.models_table.results import Results

from .five import GROUP
from .measure import measure_group, measure_row
from .page import render
from .rows import precision_rows

_CHECKOUT = Path(__file__).resolve().parents[3]


@click.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=_CHECKOUT.parent / "shared" / "data",
    help="Folder with weights/, onnx/ and coco/.",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="Run only rows of such names, such as 'yolov8*'.")
@click.option("--again", is_flag=True, help="Run rows that have a result, too.")
@click.option("--no-run", is_flag=True, help="Only write the page from the results that are there.")
@click.option("--results", type=click.Path(path_type=Path), default=_CHECKOUT / "bench" / "results" / "precisions.json")
@click.option("--page", type=click.Path(path_type=Path), default=_CHECKOUT / "docs" / "models-precision.md")
def main(data: Path, *, only: tuple[str, ...], again: bool, no_run: bool, results: Path, page: Path) -> None:  # noqa: PLR0913
    """Export models in every precision through the gate, compare them as they are served, and write the page.

    Each row's result is kept as soon as it is there, so that a run that was ended goes on where it was.
    """
    kept = Results(results)
    failed = 0
    for name, measure in [] if no_run else _rows(data):
        wanted = not only or any(fnmatch.fnmatch(name, pattern) for pattern in only)
        if not wanted or (name in kept and not again):
            continue
        try:
            kept.add(name, measure())
            click.echo(f"{name}: done in {kept[name]['seconds']} s")
        except SightlineError as error:
            failed += 1
            click.echo(f"{name}: {error}", err=True)
        page.write_text(render(kept), encoding="utf-8")
    page.write_text(render(kept), encoding="utf-8")
    if failed:
        raise SystemExit(1)


def _rows(data: Path) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    for row in precision_rows():
        yield row.name, partial(measure_row, row, data=data, tell=click.echo)
    yield GROUP, partial(measure_group, data=data, tell=click.echo)


if __name__ == "__main__":
    main()
