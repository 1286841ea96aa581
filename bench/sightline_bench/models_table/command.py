"""What the commands that run rows and write a page of them have in common."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

from sightline.errors import SightlineError

from .results import Results

_CHECKOUT = Path(__file__).resolve().parents[3]
Command = TypeVar("Command", bound=Callable[..., None])
Row = tuple[str, Callable[[], dict[str, Any]]]
"""A name, and what measures the row of that name."""


def table_options(*, results: str, page: str) -> Callable[[Command], Command]:
    """The options of such a command: `data`, `only`, `again`, `no_run`, and the files, which are `results` and `page`.

    Args:
        results: name of the file in bench/results.
        page: name of the page in docs.
    """
    folder = click.Path(path_type=Path, file_okay=False, exists=True)
    file = click.Path(path_type=Path)
    options = (
        click.option(
            "--data", type=folder, default=_CHECKOUT.parent / "shared" / "data", help="With weights/, onnx/ and coco/."
        ),
        click.option("--only", multiple=True, metavar="PATTERN", help="Run only such rows, such as 'yolov8*'."),
        click.option("--again", is_flag=True, help="Run rows that have a result, too."),
        click.option("--no-run", is_flag=True, help="Only write the page from the results that are there."),
        click.option("--results", type=file, default=_CHECKOUT / "bench" / "results" / results),
        click.option("--page", type=file, default=_CHECKOUT / "docs" / page),
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def run_rows(
    rows: Iterable[Row], kept: Results, *, only: tuple[str, ...], again: bool, done: Callable[[str], None]
) -> int:
    """Measure rows and keep each as soon as it is there, so that a run that was ended goes on where it was.

    Args:
        rows: all of the table.
        kept: gets what was measured.
        only: patterns of names; none for all.
        again: measure what has a result, too.
        done: is told the name of a row that was measured.

    Returns:
        How many failed; they are named on standard error, and the others go on.
    """
    failed = 0
    for name, measure in rows:
        wanted = not only or any(fnmatch.fnmatch(name, pattern) for pattern in only)
        if not wanted or (name in kept and not again):
            continue
        try:
            kept.add(name, measure())
        except SightlineError as error:
            failed += 1
            click.echo(f"{name}: {error}", err=True)
        else:
            done(name)
    return failed


def run_table(  # noqa: PLR0913 - the options of `table_options`, and what makes a page of results
    rows: Iterable[Row],
    kept: Results,
    *,
    only: tuple[str, ...],
    again: bool,
    page: Path,
    render: Callable[[], str],
    line: Callable[[str], str],
) -> None:
    """`run_rows`, with the page written anew after each row and at the end.

    Args:
        rows: likewise, as `kept`, `only` and `again`.
        page: file of the page.
        render: makes the page's text.
        line: what to print of the row of a name.

    Raises:
        SystemExit: with status 1 where rows failed.
    """

    def write() -> None:
        page.write_text(render(), encoding="utf-8")

    def done(name: str) -> None:
        click.echo(f"{name}: {line(name)}")
        write()

    failed = run_rows(rows, kept, only=only, again=again, done=done)
    write()
    if failed:
        raise SystemExit(1)
