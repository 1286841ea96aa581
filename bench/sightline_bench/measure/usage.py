"""Processor time, memory and end of processes, with all that they have started. Linux only: it reads /proc."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sightline.errors import MeasurementError

_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_SAMPLE_SECONDS = 0.05
_BEGAN = 19
"""Place of a process's beginning, in ticks since the system's, among the fields that `_stat` gives."""
_STUB = "triton_python_backend_stub"
"""What runs a model of Triton's Python backend; its second word is `.../MODEL/VERSION/FILE`."""


def tree(root: int) -> list[int]:
    """A process and all below it that run now."""
    return [root, *descendants(root)]


def descendants(root: int) -> list[int]:
    """Processes below `root`, without itself."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, to_do = [], [root]
    while to_do:
        below = children.get(to_do.pop(), [])
        found += below
        to_do += below
    return found


def process_seconds(pid: int) -> float:
    """Processor time of a process's threads, and of those of its children that have ended and been waited for.

    Raises:
        MeasurementError: there is no such process.
    """
    fields = _stat(pid)
    if not fields:
        raise MeasurementError(f"process {pid} has ended, so that its processor time cannot be read")
    return _seconds(fields)


def tree_seconds(root: int) -> float:
    """Processor time of a process and of everything that it ever started, as far as those that ended were waited for.

    Raises:
        MeasurementError: there is no such process.
    """
    return sum(seconds_by_process(root).values())


def seconds_by_process(root: int) -> dict[int, float]:
    """`process_seconds` of a process and of all below it.

    Raises:
        MeasurementError: there is no such process.
    """
    found = {root: process_seconds(root)}
    for pid in descendants(root):
        if fields := _stat(pid):  # it may have ended in between, and then stands in its parent's time
            found[pid] = _seconds(fields)
    return found


@dataclass(frozen=True)
class Life:
    """One process, told from later ones of the same number by when it began."""

    pid: int
    began: str

    def goes_on(self) -> bool:
        """Whether it runs; one that has ended and was not waited for does not."""
        fields = _stat(self.pid)
        return bool(fields) and fields[_BEGAN] == self.began and fields[0] not in "ZX"


def lives(pids: Iterable[int]) -> list[Life]:
    """Those of them that run now."""
    found = [Life(pid, fields[_BEGAN]) for pid in pids if (fields := _stat(pid))]
    return [each for each in found if each.goes_on()]


def outlive(processes: Sequence[Life], seconds: float) -> None:
    """Wait until they have ended; those that have not by then are ended."""
    deadline = time.monotonic() + seconds
    while left := [each for each in processes if each.goes_on()]:
        if time.monotonic() > deadline:
            for each in left:
                with suppress(ProcessLookupError):  # it has ended just now
                    os.kill(each.pid, signal.SIGKILL)
            return
        time.sleep(_SAMPLE_SECONDS)


def process_name(pid: int) -> str:
    """What a process is, for people: the model that it runs for Triton, or else its program and its script."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "ended"
    program = Path(words[0]).name
    if program == _STUB:
        return f"model {Path(words[1]).parts[-3]}"
    if any("spawn_main" in word for word in words):
        return f"{program}, spawned"
    return " ".join([program, *(Path(word).name for word in words[1:] if word.endswith(".py"))])


def pss_bytes(pid: int) -> int:
    """Proportional set size of a process, in which shared memory counts once in all; 0 where it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:")), 0)


@dataclass
class Peaks:
    """Peak PSS in bytes, of all processes together and of each."""

    total: int = 0
    processes: Counter[int] = field(default_factory=Counter)

    def add_sample(self, pids: Iterable[int]) -> None:
        """Look at these processes now."""
        sample = {pid: pss_bytes(pid) for pid in pids}
        self.total = max(self.total, sum(sample.values()))
        for pid, size in sample.items():
            self.processes[pid] = max(self.processes[pid], size)


@contextmanager
def sampled(pids: Callable[[], Iterable[int]]) -> Iterator[Peaks]:
    """Peaks over the block, from 20 samples a second.

    Reading the size of a large process stops its memory management for milliseconds, so nothing is timed meanwhile.

    Args:
        pids: the processes to look at, asked for each sample.
    """
    peaks, done = Peaks(), threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            peaks.add_sample(pids())

    peaks.add_sample(pids())
    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()
        peaks.add_sample(pids())


def _seconds(stat: list[str]) -> float:
    return sum(map(int, stat[11:15])) / _TICKS_A_SECOND


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold blanks; empty where the process has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
