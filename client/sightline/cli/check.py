"""`sightline check`: what is wrong in a model repository, where, and the fix."""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sightline.cli._repository import repository_argument

if TYPE_CHECKING:
    from rich.console import Console

    from sightline_export.lint import Finding

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


@click.command(
    epilog="""\b
Examples:
  sightline check                        the folder model_repository
  sightline check /srv/models --strict   warnings fail too
  sightline check --json | jq '.[] | select(.severity == "error")'
"""
)
@repository_argument
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of findings instead of text.")
@click.option("--strict", is_flag=True, help="Fail on warnings too, not on errors only.")
def command(repository: Path, as_json: bool, strict: bool) -> None:
    """Lint the model repository REPOSITORY before Triton loads it.

    Every finding says what is wrong, where, and the fix. Nothing is executed and nothing is changed. The exit status
    is 1 if there are errors, else 0.
    """
    from sightline_export.lint import lint

    findings = lint(repository)
    if as_json:
        click.echo(json.dumps([_as_json(finding) for finding in findings], indent=2, ensure_ascii=False))
    else:
        _print(repository, findings)
    fatal = {"error", "warning"} if strict else {"error"}
    raise SystemExit(int(any(finding.severity in fatal for finding in findings)))


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        "severity": finding.severity,
        "model": finding.model,
        "path": finding.path.as_posix(),
        "line": finding.line,
        "rule": finding.rule,
        "message": finding.message,
        "fix": finding.fix,
    }


def _print(repository: Path, findings: list[Finding]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for model, group in groupby(findings, key=lambda finding: finding.model):
        console.print(Text(model or str(repository), style="bold"))
        for finding in group:
            _print_finding(console, finding)
        console.print()
    console.print(_summary(repository, findings), style=_worst_colour(findings), markup=False, soft_wrap=True)


def _print_finding(console: Console, finding: Finding) -> None:
    from rich.text import Text

    head = Text.assemble(
        (finding.severity, _COLOURS[finding.severity]), " ", finding.where, (f"  [{finding.rule}]", "dim")
    )
    # A path in one piece can be clicked or copied, so this line is never folded.
    console.print(Text("  ") + head, soft_wrap=True)
    for text in (Text(finding.message), Text.assemble(("fix: ", "green"), finding.fix)):
        # Folded for a reader only: in a pipe, a message is one line.
        lines = text.wrap(console, max(20, console.width - 6)) if console.is_terminal else [text]
        for line in lines:
            line.rstrip()
            console.print(Text("      ") + line, soft_wrap=True)


def _summary(repository: Path, findings: list[Finding]) -> str:
    counts = [
        f"{count} {severity}{'' if count == 1 else 's'}"
        for severity in _COLOURS
        if (count := sum(finding.severity == severity for finding in findings))
    ]
    return f"{repository}: {', '.join(counts) if counts else 'no findings'}"


def _worst_colour(findings: list[Finding]) -> str:
    severities = {finding.severity for finding in findings}
    return next((colour for severity, colour in _COLOURS.items() if severity in severities), "bold green")
