"""Results of several commands as one: `sightline bench`, the whole job, a GPU. Each says where and when it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Any

from sightline.errors import InvalidOptionError
from sightline_bench.measure.results import Results
from sightline_bench.pages import document

_JOINED = "joined"
_KEPT = ("command", "began", "seconds", "machine", "commit", "dirty")


def join(files: Sequence[tuple[str, Results]]) -> Results:
    """The first with all that the others have besides; a section that was measured replaces one that was not.

    Args:
        files: names of files, and the results in each; at least one.

    Raises:
        InvalidOptionError: two of them have the same figure or section, so that it is not clear which counts.
    """
    (first, whole), *others = files
    owners = dict.fromkeys(_names(whole), first)
    for file, results in others:
        if twice := [name for name in _names(results) if name in owners]:
            raise InvalidOptionError(
                f"{owners[twice[0]]} and {file} both have {', '.join(twice)}: make a page of each instead"
            )
        owners.update(dict.fromkeys(_names(results), file))
        origin = {"file": file, "has": _names(results), **{name: results.environment[name] for name in _KEPT}}
        whole = replace(
            whole,
            figures={**whole.figures, **results.figures},
            races=(*whole.races, *results.races),
            sweeps=(*whole.sweeps, *results.sweeps),
            sections={**whole.sections, **results.sections, **_measured(whole), **_measured(results)},
            environment={**whole.environment, _JOINED: [*whole.environment.get(_JOINED, []), origin]},
        )
    return whole


def _names(results: Results) -> list[str]:
    return [*results.figures, *(f"sections.{name}" for name in _measured(results))]


def _measured(results: Results) -> dict[str, Any]:
    """Sections without those that only say why nothing was measured."""
    return {name: told for name, told in results.sections.items() if told.get("measured", True)}


def section(results: Results) -> Iterator[str]:
    """Where the parts of other files come from; nothing where all is of one."""
    origins = results.environment.get(_JOINED, [])
    if origins:
        yield document.paragraph("What other commands measured, on the machines and at the commits that are named:")
        rows = [_row(origin) for origin in origins]
        yield document.table(("file", "has", "command", "machine", "began", "commit"), rows)


def _row(origin: Mapping[str, Any]) -> tuple[str, ...]:
    machine = origin["machine"]
    return (
        escape(origin["file"]),
        "<br>".join(map(escape, origin["has"])),
        f"<code>{escape(origin['command'])}</code>",
        escape(f"{machine['cpu']}, {machine['usable_cores']:g} cores"),
        escape(origin["began"][:16].replace("T", " ")),
        escape(document.commit_words(origin)),
    )
