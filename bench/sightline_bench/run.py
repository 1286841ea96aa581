"""A whole run: group after group, into one file of results."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sightline.errors import MeasurementError, SightlineError
from sightline_bench.contestants.race import Race, Sweep
from sightline_bench.gpu.absence import SECTION, absence
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Figure, Results
from sightline_bench.progress import Progress
from sightline_bench.ratios.ahead import make_ahead
from sightline_bench.ratios.registry import Findings, Group, Setting

_CUT_OFF = "the run was cut off before"


def groups_of(groups: Sequence[Group], wanted: frozenset[str]) -> list[Group]:
    """Those that have wanted figures."""
    return [group for group in groups if _names(group) & wanted]


def run_groups(
    groups: Sequence[Group],
    setting: Setting,
    wanted: frozenset[str],
    *,
    progress: Progress,
    keep: Callable[[Results], None] = lambda results: None,
) -> Results:
    """Measure the wanted figures; one that could not be measured stands in the results with the reason.

    Args:
        groups: all that there are.
        setting: what to measure on.
        wanted: names of figures.
        progress: of the groups that have wanted figures.
        keep: is given the results after each group, with those figures as not measured that are still to come, and
            `complete` false until the last.
    """
    chosen = groups_of(groups, wanted)
    no_gpu = absence()
    progress.tell(f"GPU: not measured: {no_gpu['reason']}")
    # Of a group that is measured in part, only some may be needed: it makes those itself.
    make_ahead([group for group in chosen if _names(group) <= wanted], setting)
    record = _Record(setting, progress, {SECTION: no_gpu})
    for number, group in enumerate(chosen, start=1):
        names = _names(group) & wanted
        progress.tell(f"{group.name}, {number} of {len(chosen)} groups")
        findings = _measure(group, setting, names)
        taken = progress.done(group.name, remember=names == _names(group) and _all_measured(findings))
        record.add(group, findings, taken)
        progress.tell(f"{group.name}: {taken:.0f} s")
        keep(record.results(chosen[number:], wanted))
    return record.results([], wanted)


class _Record:
    """What was found so far, and where and when."""

    def __init__(self, setting: Setting, progress: Progress, sections: dict[str, Any]) -> None:
        self._progress = progress
        self._figures: dict[str, Figure] = {}
        self._races: list[Race] = []
        self._sweeps: list[Sweep] = []
        self._sections = sections
        self._seconds: dict[str, float] = {}
        self._fixed = {
            "quick": setting.quick,
            "rounds": setting.rounds,
            "images": setting.images_title,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "machine": describe_machine(),
            "versions": describe_versions(),
            **describe_commit(),
        }

    def add(self, group: Group, findings: Findings, seconds: float) -> None:
        """What a group gave, and how long it took."""
        self._figures.update(findings.figures)
        self._races += findings.races
        self._sweeps += findings.sweeps
        self._sections.update(findings.sections)
        self._seconds[group.name] = round(seconds, 1)

    def results(self, left: Sequence[Group], wanted: frozenset[str]) -> Results:
        """All of it; figures of the groups that are left stand there as not measured."""
        ahead = {key.name: key.lacking(_CUT_OFF) for group in left for key in group.keys if key.name in wanted}
        return Results(
            figures={**self._figures, **ahead},
            races=[race.as_json() for race in self._races],
            sweeps=[sweep.as_json() for sweep in self._sweeps],
            sections=dict(self._sections),
            environment={
                **self._fixed,
                "complete": not left,
                "seconds": round(self._progress.seconds, 1),
                "seconds_by_group": dict(self._seconds),
            },
        )


def _names(group: Group) -> frozenset[str]:
    return frozenset(key.name for key in group.keys)


def _all_measured(findings: Findings) -> bool:
    return all(figure.ratio is not None for figure in findings.figures.values())


def _measure(group: Group, setting: Setting, names: frozenset[str]) -> Findings:
    """What the group gives, with every wanted key in it."""
    lacking = {key.name: key for key in group.keys if key.name in names}
    try:
        findings = group.measure(setting, names)
    except SightlineError as error:
        setting.tell(f"{group.name}: {error}")
        return Findings(figures={name: key.lacking(str(error)) for name, key in lacking.items()})
    missing = lacking.keys() - findings.figures.keys()
    if missing:
        raise MeasurementError(f"the group {group.name!r} gave no figure for {', '.join(sorted(missing))}")
    return findings
