"""Many loads on one server, one after another, round by round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.load.driver import Driver, Target
from sightline_bench.load.loads import Load, Measured


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one load in every round; `failure` says why there is nothing."""

    load: Load
    runs: Sequence[Measured] = ()
    failure: str = ""

    def as_json(self) -> dict[str, Any]:
        """The median run by throughput, with the throughputs of all rounds."""
        if not self.runs:
            return {"title": self.load.title, "failure": self.failure}
        rates = [run.images_per_second for run in self.runs]
        middle = statistics.median_low(rates)
        return {**self.runs[rates.index(middle)].as_json(), "runs": rates}


def sweep(
    driver: Driver, target: Target, loads: Sequence[Load], *, rounds: int, tell: Callable[[str], None]
) -> list[Outcome]:
    """Every load once a round, forwards and backwards by turns; one that fails is left out from then on."""
    runs: dict[Load, list[Measured]] = {load: [] for load in loads}
    failures: dict[Load, str] = {}
    for number in range(rounds):
        for load in loads if number % 2 == 0 else reversed(loads):
            if load in failures:
                continue
            try:
                came = driver.measure(target, load)
            except MeasurementError as error:
                failures[load] = str(error)
                tell(f"{load.title}: {error}")
                continue
            runs[load].append(came)
            tell(f"{load.title}: {came.images_per_second:.1f} images/s, p99 {came.latency_ms[99]:.1f} ms")
    return [
        Outcome(load=load, runs=() if load in failures else runs[load], failure=failures.get(load, ""))
        for load in loads
    ]


def ladder(*, requests: int, concurrencies: Sequence[int], batches: Sequence[int]) -> list[Load]:
    """Loads that vary one thing at a time: requests in flight, images in a request, protocol, shared memory."""
    few = concurrencies[len(concurrencies) // 2]
    loads = [Load(requests=max(requests, number), concurrency=number) for number in concurrencies]
    loads += [Load(requests=max(8, requests // batch), concurrency=2, batch=batch) for batch in batches]
    loads += [Load(requests=requests, concurrency=few, protocol="http")]
    loads += [Load(requests=requests, concurrency=few, shared_memory=True)]
    loads += [Load(requests=requests, concurrency=few, protocol="http", shared_memory=True)]
    return loads


def rates(*, requests: int, capacity: float, shares: Sequence[float]) -> list[Load]:
    """Poisson loads of so many requests a second, as shares of what the server manages at best.

    Each lasts for a second at least, as perf_analyzer wants it.
    """
    return [
        Load(requests=max(requests, ceil(capacity * share)), request_rate=round(capacity * share, 3))
        for share in shares
    ]
