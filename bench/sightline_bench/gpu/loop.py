"""Something done batch by batch by one or several threads, for about as long as wanted."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from sightline_bench.measure.rounds import Pass

Job = Callable[[], "int | None"]
"""Works on one batch; gives the number of objects found, None where it finds none by its nature."""
_WARM_RUNS = 3
"""Engines allocate and choose in the first; CUDA graphs are captured in the second or third."""
_FEWEST_RUNS = 3
_TRIAL_SHARE = 0.1


class Loop:
    """A contestant of `rounds` in this process.

    Its processor time is not told apart from that of whatever else this process does, and so is not taken.

    Args:
        name: unique among those that take turns.
        jobs: one for each thread; each has its own engine or decoder.
        batch: images in a batch.
        seconds: how long a pass is to take, about.
    """

    def __init__(self, name: str, jobs: Sequence[Job], *, batch: int, seconds: float) -> None:
        self.name = name
        self._jobs, self._batch, self._seconds = jobs, batch, seconds
        self._runs = _FEWEST_RUNS

    def warm_up(self) -> None:
        """Run it until it is as fast as it gets, and find out how many runs make a pass."""
        for job in self._jobs:
            for _ in range(_WARM_RUNS):
                job()
        while True:
            taken = self._run(self._runs)[0]
            if taken >= _TRIAL_SHARE * self._seconds:
                break
            self._runs *= 2
        self._runs = max(_FEWEST_RUNS, round(self._runs * self._seconds / taken))

    def one_pass(self) -> Pass:
        """As many runs as `warm_up` found."""
        seconds, found = self._run(self._runs)
        return Pass(images=self._runs * self._batch * len(self._jobs), seconds=seconds, cpu_seconds=0.0, found=found)

    def _run(self, runs: int) -> tuple[float, int | None]:
        """So many runs of every job, all at the same time: seconds by the clock, and objects found."""

        def many(job: Job) -> int | None:
            counts = [job() for _ in range(runs)]
            return None if counts[0] is None else sum(count or 0 for count in counts)

        if len(self._jobs) == 1:
            begun = time.perf_counter()
            counts = [many(self._jobs[0])]
            return time.perf_counter() - begun, counts[0]
        with ThreadPoolExecutor(len(self._jobs)) as pool:
            list(pool.map(lambda _: None, self._jobs))  # its threads are there before the clock starts
            begun = time.perf_counter()
            counts = list(pool.map(many, self._jobs))
            seconds = time.perf_counter() - begun
        return seconds, None if counts[0] is None else sum(count or 0 for count in counts)
