"""What a rule finds, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sightline_export.lint.folders import ModelFolder, Repository

Severity = Literal["error", "warning", "note"]
"""`error`: it will not load, or gives wrong results. `warning`: it works worse, or not everywhere. `note`: to know."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong in a model repository.

    Attributes:
        severity: how bad it is.
        model: folder name of the model, empty where the repository as a whole is meant.
        path: the file or folder at fault, relative to the repository.
        line: line in that file, from 1, or None.
        rule: short name of the rule that found it.
        message: what is wrong.
        fix: what to do.
    """

    severity: Severity
    model: str
    path: Path
    line: int | None
    rule: str
    message: str
    fix: str

    @property
    def where(self) -> str:
        """`path:line` as editors and terminals understand it."""
        place = self.path.as_posix()
        return place if self.line is None else f"{place}:{self.line}"


@dataclass(frozen=True)
class Problem:
    """A finding before it knows its rule and model; `path` is as the rule met it."""

    severity: Severity
    path: Path
    message: str
    fix: str
    line: int | None = None


def error(path: Path, message: str, fix: str, line: int | None = None) -> Problem:
    """It will not load, or gives wrong results."""
    return Problem("error", path, message, fix, line)


def warning(path: Path, message: str, fix: str, line: int | None = None) -> Problem:
    """It works worse than it could, or not everywhere."""
    return Problem("warning", path, message, fix, line)


def note(path: Path, message: str, fix: str, line: int | None = None) -> Problem:
    """Nothing is wrong; something is worth knowing."""
    return Problem("note", path, message, fix, line)


@dataclass(frozen=True)
class Rule:
    """One check of one model.

    Attributes:
        name: how the finding is called.
        check: yields the problems of a model.
        needs_config: whether it is asked only where `config.pbtxt` could be parsed.
    """

    name: str
    check: Callable[[ModelFolder, Repository], Iterable[Problem]]
    needs_config: bool = True
