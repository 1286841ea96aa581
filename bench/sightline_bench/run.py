"""A whole run: group after group, into one file of results."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from sightline.errors import MeasurementError, SightlineError
from sightline_bench.contestants.race import Race, Sweep
from sightline_bench.gpu.absence import SECTION, absence
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Figure, Results
from sightline_bench.ratios.registry import Findings, Group, Setting


def run_groups(groups: Sequence[Group], setting: Setting, wanted: frozenset[str]) -> Results:
    """Measure the wanted figures; one that could not be measured stands in the results with the reason."""
    began, clock = datetime.now(timezone.utc), time.monotonic()
    machine = describe_machine()
    figures: dict[str, Figure] = {}
    races: list[Race] = []
    sweeps: list[Sweep] = []
    sections: dict[str, Any] = {SECTION: absence()}
    setting.tell(f"GPU: not measured: {sections[SECTION]['reason']}")
    seconds: dict[str, float] = {}
    for group in groups:
        names = frozenset(key.name for key in group.keys) & wanted
        if not names:
            continue
        started = time.monotonic()
        findings = _measure(group, setting, names)
        figures.update(findings.figures)
        races += findings.races
        sweeps += findings.sweeps
        sections.update(findings.sections)
        seconds[group.name] = round(time.monotonic() - started, 1)
        setting.tell(f"{group.name}: {seconds[group.name]:.0f} s")
    return Results(
        figures=figures,
        races=[race.as_json() for race in races],
        sweeps=[sweep.as_json() for sweep in sweeps],
        sections=sections,
        environment={
            "quick": setting.quick,
            "rounds": setting.rounds,
            "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
            "began": began.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - clock, 1),
            "seconds_by_group": seconds,
            "machine": machine,
            "versions": describe_versions(),
            **describe_commit(),
        },
    )


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
