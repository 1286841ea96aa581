"""Engines in processes of their own, which take turns, and what stands beside them: the machine's peaks."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.measure.rounds import Pass
from sightline_bench.measure.usage import process_seconds, sampled
from sightline_bench.profile.engine_process import Job
from sightline_bench.profile.recorders import Recording

_END_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class Loading:
    """What an engine said when its graph was loaded.

    Attributes:
        start_seconds: until the process was ready: Python, packages and engine with them.
        load_seconds: of that, reading and compiling the graph.
        first_seconds: the first run, in which engines allocate.
        version: the engine's.
        precision: arithmetic that it uses.
        memory_bytes: peak PSS of the process until then, with two more runs of one picture.
    """

    start_seconds: float
    load_seconds: float
    first_seconds: float
    version: str
    precision: str
    memory_bytes: int


class EngineProcess:
    """A graph in an engine in a process of its own; a contestant of `rounds`.

    Use it as a context manager.

    Args:
        name: unique among those that take turns.
        job: what is run.
        runs: in one pass.

    Attributes:
        fastest_seconds: of a run of one picture in all passes so far.

    Raises:
        MeasurementError: the engine cannot load the graph, or cannot run it.
    """

    def __init__(self, name: str, job: Job, *, runs: int = 1) -> None:
        self.name = name
        self.runs = runs
        self.fastest_seconds = math.inf
        started = time.perf_counter()
        command = [sys.executable, "-m", "sightline_bench.profile.engine_process", json.dumps(asdict(job))]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = self._read()
        start_seconds = time.perf_counter() - started
        memory = 0
        if not job.record:
            with sampled(lambda: [self._process.pid]) as peaks:
                self.seconds(batch=1, runs=2)
            memory = peaks.total
        self.loading = Loading(start_seconds=start_seconds, memory_bytes=memory, **told)

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def seconds(self, *, batch: int, runs: int) -> list[float]:
        """Of each run, by the clock.

        Raises:
            MeasurementError: the engine failed.
        """
        found: list[float] = self._ask(batch=batch, runs=runs)["seconds"]
        return found

    def layers(self, *, runs: int) -> Recording:
        """Of an engine that records.

        Raises:
            MeasurementError: the engine failed.
        """
        told = self._ask(batch=1, runs=runs)
        return Recording(layers=told["layers"], wall_milliseconds=told["wall_milliseconds"])

    def peak_memory(self, *, batch: int) -> int:
        """Peak PSS in bytes over two runs, which are not timed."""
        with sampled(lambda: [self._process.pid]) as peaks:
            self.seconds(batch=batch, runs=2)
        return peaks.total

    def one_pass(self) -> Pass:
        """The median run of a few, of one picture."""
        before = process_seconds(self._process.pid)
        taken = self.seconds(batch=1, runs=self.runs)
        self.fastest_seconds = min(self.fastest_seconds, *taken)
        used = (process_seconds(self._process.pid) - before) / self.runs
        return Pass(images=1, seconds=statistics.median(taken), cpu_seconds=used)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended by itself
            self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise MeasurementError(f"the process of {self.name} has ended{self._how()}") from error
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise MeasurementError(f"the process of {self.name} has ended{self._how()}")
        told: dict[str, Any] = json.loads(line)
        if "error" in told:
            self.close()
            raise MeasurementError(f"{self.name}: {told['error']}")
        return told

    def _how(self) -> str:
        status = self._process.poll()
        return "" if status is None else f" (status {status}; memory may have run out)"


def record_layers(name: str, job: Job, *, runs: int) -> Recording:
    """The layers of a graph, from an engine that records.

    Raises:
        MeasurementError: the engine failed.
    """
    with EngineProcess(name, replace(job, record=True)) as process:
        return process.layers(runs=runs)
