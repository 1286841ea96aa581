"""The command that runs rows and writes the page."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import click

from sightline.errors import SightlineError

from .measure import measure
from .page import render, verdict
from .results import Results
from .rows import rows

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
@click.option("--results", type=click.Path(path_type=Path), default=_CHECKOUT / "bench" / "results" / "models.json")
@click.option("--page", type=click.Path(path_type=Path), default=_CHECKOUT / "docs" / "models.md")
def main(data: Path, *, only: tuple[str, ...], again: bool, no_run: bool, results: Path, page: Path) -> None:  # noqa: PLR0913
    """Export every model of the table through the gate, and write docs/models.md.

    Each row's result is kept as soon as it is there, so that a run that was ended goes on where it was.
    """
    kept = Results(results)
    failed = 0
    for row in [] if no_run else rows():
        wanted = not only or any(fnmatch.fnmatch(row.name, pattern) for pattern in only)
        if not wanted or (row.name in kept and not again):
            continue
        try:
            kept.add(row.name, measure(row, data=data))
            click.echo(f"{row.name}: {verdict(kept[row.name])}")
        except SightlineError as error:
            failed += 1
            click.echo(f"{row.name}: {error}", err=True)
        page.write_text(render(rows(), kept), encoding="utf-8")
    page.write_text(render(rows(), kept), encoding="utf-8")
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
