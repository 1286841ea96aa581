"""`sightline doctor`: what will work on this machine, and what the rest lacks."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sightline.cli._repository import repository_option

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from sightline.doctor import Check, Diagnosis, Way

_COLOURS = {"ok": "green", "info": "cyan", "warn": "yellow", "fail": "bold red"}


@click.command(
    epilog="""\b
Examples:
  sightline doctor                            this machine
  sightline doctor --repository /srv/models   with the models of another folder
  sightline doctor --json | jq .ways          for a bug report or a script
"""
)
@repository_option("Folder in which models are looked for.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object with `checks` and `ways` instead of text.")
def command(repository: Path, as_json: bool) -> None:
    """Look at this machine: what will work, what will not, and the command that gets it.

    Nothing is changed or installed. The exit status is 0 unless nothing at all would work.
    """
    from sightline.doctor import diagnose
    from sightline_server.libpython import find_libpython

    diagnosis = diagnose(repository=repository, libpython=find_libpython())
    if as_json:
        click.echo(json.dumps(_as_json(diagnosis), indent=2, ensure_ascii=False))
    else:
        _print(diagnosis)
    raise SystemExit(int(not diagnosis.anything_works))


def _as_json(diagnosis: Diagnosis) -> dict[str, object]:
    return {
        "checks": [asdict(check) for check in diagnosis.checks],
        "ways": [{**asdict(way), "works": way.works} for way in diagnosis.ways],
    }


def _print(diagnosis: Diagnosis) -> None:
    from rich.console import Console

    console = Console(highlight=False)
    console.print(_table(diagnosis.checks))
    console.print("What will work here", style="bold")
    for way in diagnosis.ways:
        _print_way(console, way)


def _table(checks: tuple[Check, ...]) -> RenderableType:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    table.add_column("")
    table.add_column("what", min_width=14)
    table.add_column("found", overflow="fold")
    for check in checks:
        found = Text(check.detail)
        if check.advice:
            found.append(f"\n{check.advice}", style="dim" if check.status in ("ok", "info") else _COLOURS[check.status])
        table.add_row(Text(check.status, style=_COLOURS[check.status]), Text(check.name), found)
    return table


def _print_way(console: Console, way: Way) -> None:
    from rich.text import Text

    answer = Text("yes ", style="bold green") if way.works else Text("no  ", style="bold yellow")
    console.print(Text("  ") + answer + Text.assemble((way.name, "bold"), (f": {way.purpose}", "dim")), soft_wrap=True)
    for lack in way.lacks:
        console.print(Text(f"        lacks {lack.what}"), soft_wrap=True)
        # In one piece, so that it can be copied.
        console.print(Text.assemble("          ", (lack.command, "cyan")), soft_wrap=True)
