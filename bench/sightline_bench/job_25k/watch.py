"""Looks at a running job from time to time: what is written, what each process needs."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline_bench.measure.usage import process_name, pss_bytes, seconds_by_process, tree

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Sample:
    """One look.

    Attributes:
        seconds: since the job began.
        images: with a line in the results by then.
        cpu_seconds: of every process that lives, since the job began, by process id.
        memory_bytes: PSS of each, likewise.
    """

    seconds: float
    images: int
    cpu_seconds: Mapping[int, float]
    memory_bytes: Mapping[int, int]


class LineCount:
    """Counts the lines of a file that grows, reading only what is new."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._read_bytes = 0
        self._lines = 0

    def now(self) -> int:
        """Lines that end in the file; 0 where it is not there yet."""
        try:
            with self._file.open("rb") as file:
                file.seek(self._read_bytes)
                while chunk := file.read(_CHUNK_BYTES):
                    self._read_bytes += len(chunk)
                    self._lines += chunk.count(b"\n")
        except FileNotFoundError:
            return 0
        return self._lines


@dataclass
class Watch:
    """Takes samples in a thread, from when it is entered as a context manager until it is left.

    Reading the size of a large process holds it up for milliseconds, so a sample every second or more is fine.

    Attributes:
        root: a process; it and all below it are looked at.
        results: file that gets a line for each image.
        every_seconds: between two samples.
        titles: what processes are, by their id, where their own names do not tell.
        tell: is called with each sample.
        samples: what was seen.
        names: of every process ever seen, by its id.
    """

    root: int
    results: Path
    every_seconds: float
    titles: Mapping[int, str]
    tell: Callable[[Sample], None]
    samples: list[Sample] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> Watch:
        self._lines = LineCount(self.results)
        self._done = threading.Event()
        self._began = time.monotonic()
        self._spent = seconds_by_process(self.root)
        self._look()
        self._thread = threading.Thread(target=self._watch, name="watch")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        self._look()

    def _watch(self) -> None:
        while not self._done.wait(self.every_seconds):
            self.tell(self._look())

    def _look(self) -> Sample:
        spent = seconds_by_process(self.root)
        sample = Sample(
            seconds=time.monotonic() - self._began,
            images=self._lines.now(),
            cpu_seconds={pid: seconds - self._spent.get(pid, 0.0) for pid, seconds in spent.items()},
            memory_bytes={pid: pss_bytes(pid) for pid in tree(self.root)},
        )
        for pid in (sample.memory_bytes.keys() | spent.keys()) - self.names.keys():
            self.names[pid] = self.titles.get(pid) or process_name(pid)
        self.samples.append(sample)
        return sample


def samples_json(watch: Watch) -> dict[str, Any]:
    """`samples` of the section."""
    names = list(dict.fromkeys(watch.names.values()))
    return {
        "seconds": [round(each.seconds, 3) for each in watch.samples],
        "images": [each.images for each in watch.samples],
        "cpu_seconds": [round(sum(each.cpu_seconds.values()), 2) for each in watch.samples],
        "memory_bytes": {
            name: [_sum_of(name, each.memory_bytes, watch.names) for each in watch.samples] for name in names
        },
    }


def processes_json(watch: Watch) -> list[dict[str, Any]]:
    """`processes` of the section, those that used most processor time first.

    Processor time is that of the last look at which each lived.
    """
    last: dict[int, float] = {}
    for sample in watch.samples:
        last.update(sample.cpu_seconds)
    spent: dict[str, float] = {}
    for pid, seconds in last.items():
        spent[watch.names[pid]] = spent.get(watch.names[pid], 0.0) + seconds
    members = Counter(watch.names.values())
    return [
        {
            "name": name,
            "processes": members[name],
            "cpu_seconds": round(seconds, 2),
            "peak_memory_bytes": max(_sum_of(name, each.memory_bytes, watch.names) for each in watch.samples),
        }
        for name, seconds in sorted(spent.items(), key=lambda each: -each[1])
    ]


def peak_bytes(samples: Iterable[Sample]) -> int:
    """Most memory of all processes together."""
    return max(sum(each.memory_bytes.values()) for each in samples)


def _sum_of(name: str, by_process: Mapping[int, int], names: Mapping[int, str]) -> int:
    return sum(value for pid, value in by_process.items() if names[pid] == name)
