"""The same network with larger and larger batches, until time or memory is spent."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sightline.errors import MeasurementError
from sightline_bench.profile.engines import EngineProcess


@dataclass(frozen=True)
class BatchPoint:
    """One batch size.

    Attributes:
        batch: pictures in it.
        seconds: of one run, the median.
        memory_bytes: peak PSS of the engine's process.
    """

    batch: int
    seconds: float
    memory_bytes: int

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.batch / self.seconds


@dataclass(frozen=True)
class BatchSweep:
    """Every batch size that was run, and why it ends where it does; the reason is empty where it ran them all."""

    points: tuple[BatchPoint, ...]
    stopped: str


def sweep(
    engine: EngineProcess, batches: Sequence[int], *, runs: int, seconds: float, memory_share: float
) -> BatchSweep:
    """Run every batch size; of each, a large one fewer times.

    Args:
        engine: ready to run.
        batches: rising.
        runs: of the smallest batch, at the most.
        seconds: no batch size is begun that would not end within these.
        memory_share: nor one that would need more than this share of the memory that is free now.

    Raises:
        MeasurementError: the engine failed at the first batch size.
    """
    begun, free = time.monotonic(), available_bytes()
    points: list[BatchPoint] = []
    for batch in batches:
        left = seconds - (time.monotonic() - begun)
        if points and (reason := _too_much(batch, points, left=left, memory=memory_share * free)):
            return BatchSweep(tuple(points), f"stopped before {batch}: {reason}")
        try:
            memory = engine.peak_memory(batch=batch)
            taken = engine.seconds(batch=batch, runs=_affordable(points, batch, runs, left))
        except MeasurementError as error:
            if not points:
                raise
            return BatchSweep(tuple(points), f"stopped at {batch}: {error}")
        points.append(BatchPoint(batch, statistics.median(taken), memory))
    return BatchSweep(tuple(points), "")


def available_bytes() -> int:
    """Memory that could be had now without swapping."""
    with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _too_much(batch: int, points: Sequence[BatchPoint], *, left: float, memory: float) -> str:
    """Why a batch is not begun, from what the ones before took; empty where it is."""
    last = points[-1]
    needed = 3 * last.seconds * batch / last.batch  # two runs for the memory, one for the time
    if needed > left:
        return f"it would take about {needed:.0f} s and {max(0.0, left):.0f} s of the time for this are left"
    expected = last.memory_bytes
    if len(points) > 1:
        first = points[0]
        growth = (last.memory_bytes - first.memory_bytes) / (last.batch - first.batch)
        expected += int(max(0.0, growth) * (batch - last.batch))
    if expected > memory:
        return f"it would need about {expected / 1e9:.1f} GB and {memory / 1e9:.1f} GB of memory are allowed"
    return ""


def _affordable(points: Sequence[BatchPoint], batch: int, runs: int, left: float) -> int:
    if not points:
        return runs
    one = points[-1].seconds * batch / points[-1].batch
    return max(1, min(runs, int(left / 4 / one)))
