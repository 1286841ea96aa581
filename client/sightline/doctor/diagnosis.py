"""Facts, judged: the checks, and what will work."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.contract import MODEL_REPOSITORY
from sightline.doctor.checks import Check, check_machine
from sightline.doctor.facts import Machine
from sightline.doctor.probe import probe_machine
from sightline.doctor.ways import Way, judge_ways


@dataclass(frozen=True)
class Diagnosis:
    """What was found, and which ways of using Sightline work."""

    checks: tuple[Check, ...]
    ways: tuple[Way, ...]

    @property
    def anything_works(self) -> bool:
        """Whether at least one way works."""
        return any(way.works for way in self.ways)


def judge(machine: Machine) -> Diagnosis:
    """The diagnosis of a machine whose facts are known."""
    return Diagnosis(tuple(check_machine(machine)), tuple(judge_ways(machine)))


def diagnose(*, repository: Path = Path(MODEL_REPOSITORY), libpython: Path | None = None) -> Diagnosis:
    """Look at this machine; takes well under a second and imports nothing heavy.

    Args:
        repository: folder in which models are looked for.
        libpython: this Python's shared library, as `sightline_server.libpython.find_libpython` finds it.
    """
    return judge(probe_machine(repository=repository, libpython=libpython))
