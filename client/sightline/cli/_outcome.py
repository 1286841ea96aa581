"""How `sightline detect` tells people what became of their images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sightline.job import JobReport, Row
    from sightline.writers import CocoWriter

_SHOWN = 5


class Failures:
    """The first few images that failed, for people at a terminal; `errors.jsonl` has them all."""

    def __init__(self) -> None:
        self._first: list[Row] = []

    def add(self, row: Row) -> None:
        """Take note of one image."""
        if row.error is not None and len(self._first) < _SHOWN:
            self._first.append(row)

    def show(self, report: JobReport) -> None:
        """Print them, and in any case what is not in `errors.jsonl`."""
        from sightline.sources import printable

        if sys.stderr.isatty():
            for row in self._first:
                click.secho(f"failed: {printable(row.source)}: {printable(str(row.error))}", fg="red", err=True)
            if 0 < len(self._first) < report.failed:
                click.secho(f"... and {report.failed - len(self._first):,} more", fg="red", err=True)
        for line in report.unlogged:
            click.secho(f"error: {printable(line)}", fg="red", err=True)


def has_failed(report: JobReport) -> bool:
    """Whether anything is missing from the results."""
    return bool(report.failed or report.unlogged)


def show_left_out(writer: CocoWriter, model: str = "") -> None:
    """Print which classes the annotations file does not have, if there are such; `model` is a group's member."""
    if writer.left_out:
        classes = ", ".join(f"{number:,} {name}" for name, number in writer.left_out.most_common(_SHOWN))
        total = writer.left_out.total()
        of_model = f" of {model}" if model else ""
        click.echo(
            f"coco{of_model}: left out {total:,} objects of classes that the annotations lack: {classes}", err=True
        )


def show_summary(report: JobReport, output: Path) -> None:
    """Print the one line that is always printed."""
    from sightline.sources import printable
    from sightline.writers.jsonl import ERRORS_FILE

    where = f"results in {printable(output)}"
    if report.failed:
        where += f", failures in {printable(output / ERRORS_FILE)}"
    start = "interrupted: " if report.interrupted else ""
    click.secho(f"{start}{report.summary()}; {where}", fg="yellow" if has_failed(report) else "green")
