"""The JSON file of a run, which the report is made of: what each figure is, what came out, and on what.

    {"schema": 1, "quick": false, "rounds": 5, "images": "100 pictures of ...", "command": "sightline bench ...",
     "began": ISO 8601, "complete": true, "seconds": 1234.5, "seconds_by_group": {GROUP: 12.3},
     "ratios": {KEY: {"title", "unit", "better", "target", "median", "low", "high", "runs": [...], "setting", "note"}},
     "races": [{"name", "title", "setting", "rounds", "contestants": {NAME: {"title", "script", "settings", "failure",
                "peak_memory_bytes", "processes": [{"name", "cpu_seconds", "peak_memory_bytes"}],
                "passes": [{"images", "seconds", "cpu_seconds", "found", "details"}]}}}],
     "sweeps": [{"name", "title", "setting", "rounds", "unit", "failures": {VALUE: WHY},
                 "rows": [{"value", "settings", "images_per_second", "runs", "chosen"}]}],
     "sections": {...}, "machine": {...}, "versions": {...}, "commit": "...", "dirty": false}

A figure that was not measured stands there too: `median`, `low` and `high` are null, `runs` is empty, `note` says why.
The file is written anew after each group of figures; `complete` is false until the last.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sightline.errors import InvalidOptionError
from sightline.writers.files import write_whole
from sightline_bench.measure.rounds import Ratio

SCHEMA = 1
Better = Literal["higher", "lower"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the report.

    Attributes:
        title: what it is, for people.
        unit: `"x"` for ratios, else a unit such as `"ms"`.
        better: in which direction it is better.
        target: what to reach; None where nothing is to be reached.
        ratio: what came out; None where it was not measured, and then `note` says why.
        setting: precision, shapes, flags, images: under which it holds.
        note: what else to know; the reason where it was not measured.

    Raises:
        InvalidOptionError: it was not measured and does not say why.
    """

    title: str
    unit: str
    better: Better
    target: float | None
    ratio: Ratio | None
    setting: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.ratio is None and not self.note:
            raise InvalidOptionError(f"{self.title!r} was not measured and does not say why")

    @property
    def reached(self) -> bool | None:
        """Whether the median is where it ought to be; None where that cannot be said."""
        if self.ratio is None or self.target is None:
            return None
        return self.ratio.median >= self.target if self.better == "higher" else self.ratio.median <= self.target

    def as_json(self) -> dict[str, Any]:
        """Its part of the file."""
        ratio = self.ratio
        return {
            "title": self.title,
            "unit": self.unit,
            "better": self.better,
            "target": self.target,
            "median": ratio.median if ratio else None,
            "low": ratio.low if ratio else None,
            "high": ratio.high if ratio else None,
            "runs": list(ratio.runs) if ratio else [],
            "setting": self.setting,
            "note": self.note,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Figure:
        """The reverse of `as_json`."""
        fields = {name: content[name] for name in ("title", "unit", "better", "target", "setting", "note")}
        runs = tuple(content["runs"])
        return cls(ratio=Ratio(runs) if runs else None, **fields)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Everything of one run.

    Attributes:
        figures: by key.
        races: what took turns, as in the text above.
        sweeps: one option at several values, as in the text above.
        sections: whatever else was measured, by the name of what measured it.
        environment: the rest of the file: machine, versions, commit, command, time.
    """

    figures: Mapping[str, Figure]
    races: Sequence[Mapping[str, Any]] = ()
    sweeps: Sequence[Mapping[str, Any]] = ()
    sections: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {
            "schema": SCHEMA,
            **self.environment,
            "ratios": {key: figure.as_json() for key, figure in self.figures.items()},
            "races": list(self.races),
            "sweeps": list(self.sweeps),
            "sections": dict(self.sections),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Results:
        """The reverse of `as_json`.

        Raises:
            InvalidOptionError: it is not such a file, or one of another version.
        """
        if content.get("schema") != SCHEMA:
            raise InvalidOptionError(
                f"these are no results of `sightline bench`, version {SCHEMA}: schema is {content.get('schema')!r}; "
                "measure again"
            )
        own = ("schema", "ratios", "races", "sweeps", "sections")
        return cls(
            figures={key: Figure.from_json(each) for key, each in content["ratios"].items()},
            races=tuple(content["races"]),
            sweeps=tuple(content["sweeps"]),
            sections=content["sections"],
            environment={name: value for name, value in content.items() if name not in own},
        )


def read_results(file: Path) -> Results:
    """What `write_results` wrote.

    Raises:
        InvalidOptionError: the file cannot be read, or is another one.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidOptionError(f"cannot read {file} as results of `sightline bench`: {error}") from error
    return Results.from_json(content)


def write_results(file: Path, results: Results) -> None:
    """For people and programs; whoever reads it meanwhile finds the older file whole.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(file, json.dumps(results.as_json(), indent=1, ensure_ascii=False).encode() + b"\n")
