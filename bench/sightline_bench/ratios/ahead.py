"""Makes what a run's groups need before the first of them is measured, several things at a time.

Exports mostly keep a single core busy. Nothing is measured meanwhile, so they may as well share the machine.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Sequence
from dataclasses import replace

from sightline.errors import SightlineError
from sightline_bench.material.workshop import Workshop
from sightline_bench.ratios.registry import Group, Setting

_Job = tuple[Group, int, Setting]


def make_ahead(groups: Sequence[Group], setting: Setting) -> None:
    """Have the working folder hold all materials of these groups, one process for each core.

    What cannot be made is left out: the group that needs it tries again, and says why.

    Args:
        groups: that will be measured.
        setting: of the run.
    """
    # Processes get neither what the setting tells to nor anything that is open.
    sent = replace(setting, workshop=Workshop(setting.workshop.folder, _tell_nobody), tell=_tell_nobody)
    jobs: list[_Job] = [
        (group, place, sent)
        # The later groups' take longest, and what takes longest is begun first.
        for group in reversed(groups)
        for place in reversed(range(len(group.materials(setting))))
    ]
    if len(jobs) < 2:
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(min(setting.cores, len(jobs)), initializer=_leave_interrupts_to_the_run) as pool:
        for lines in pool.imap_unordered(_make, jobs):
            for line in lines:
                setting.tell(line)


def _make(job: _Job) -> list[str]:
    """One material; what there is to tell of it."""
    group, place, sent = job
    told: list[str] = []
    setting = replace(sent, workshop=Workshop(sent.workshop.folder, told.append), tell=told.append)
    begun = time.monotonic()
    try:
        group.materials(setting)[place]()
    except SightlineError as error:
        return [*told, str(error)]
    seconds = time.monotonic() - begun
    return [*told[:-1], *(f"{line}: {seconds:.0f} s" for line in told[-1:])]


def _leave_interrupts_to_the_run() -> None:
    """The run ends the processes itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _tell_nobody(line: str) -> None:
    """What a process tells comes back with its result."""
