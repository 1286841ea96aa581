"""Runs a graph with an engine, in a process of its own, so that load time and memory are its alone.

`python -m sightline_bench.profile.engine_process JOB`, where JOB is the JSON of a `Job`, prints a line of JSON when the
graph is loaded. Each line on standard input asks for work, and each gets a line in return; the end of standard input
ends it. A line with `error` says what failed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.contract import Precision
from sightline.errors import SightlineError
from sightline_bench.profile.recorders import Recorder, open_recorder
from sightline_server.engines import Array, Arrays, Engine, EngineError, OnnxRuntimeEngine, OpenVinoEngine


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is run.

    Attributes:
        file: the graph.
        engine: `openvino` or `onnxruntime`.
        precision: arithmetic that the engine is asked for: `fp32` or `bf16`.
        threads: that share the work.
        inputs: an `.npz` of rows for every input of the graph, and perhaps more.
        record: whether the engine is to tell about its layers.
    """

    file: str
    engine: str
    precision: str
    threads: int
    inputs: str
    record: bool = False


def open_job(job: Job) -> Engine | Recorder:
    """The engine, ready to run.

    Raises:
        LaunchError: it cannot load the graph.
        MissingDependencyError: it is not installed.
    """
    file = Path(job.file)
    precision: Precision = "bf16" if job.precision == "bf16" else "fp32"
    if job.record:
        return open_recorder(job.engine, file, precision=precision, threads=job.threads)
    if job.engine == "openvino":
        return OpenVinoEngine(file, precision=precision, threads=job.threads)
    return OnnxRuntimeEngine(file, threads=job.threads)


class Rows:
    """Batches of any size out of a few rows, which repeat."""

    def __init__(self, file: str, names: list[str]) -> None:
        with np.load(file) as archive:
            self._rows: Arrays = {name: archive[name] for name in names if name in archive.files}
        self._size, self._batch = 0, self._rows

    def batch(self, size: int) -> Arrays:
        """`size` rows of each input."""
        if size != self._size:
            self._size, self._batch = size, {name: _cycle(rows, size) for name, rows in self._rows.items()}
        return self._batch


def _cycle(rows: Array, size: int) -> Array:
    return np.ascontiguousarray(rows[np.arange(size) % len(rows)])


def serve(job: Job, say: Callable[[dict[str, Any]], None]) -> None:
    """Load the graph, then answer lines until there are no more."""
    started = time.perf_counter()
    engine = open_job(job)
    loaded = time.perf_counter()
    rows = Rows(job.inputs, list(engine.inputs))
    ready = time.perf_counter()
    engine.run(rows.batch(1))
    say(
        {
            "load_seconds": loaded - started,
            "first_seconds": time.perf_counter() - ready,
            "version": engine.version,
            "precision": engine.precision,
        }
    )
    for line in sys.stdin:
        asked = json.loads(line)
        batch = rows.batch(asked["batch"])
        if isinstance(engine, Recorder):
            say(dict(engine.record(batch, runs=asked["runs"])))
        else:
            say({"seconds": [_timed(engine, batch) for _ in range(asked["runs"])]})


def _timed(engine: Engine, batch: Arrays) -> float:
    started = time.perf_counter()
    engine.run(batch)
    return time.perf_counter() - started


def main() -> None:
    """Answers go where standard output went; what libraries print goes to standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    try:
        serve(Job(**json.loads(sys.argv[1])), say)
    except (EngineError, SightlineError, MemoryError) as error:
        say({"error": f"{type(error).__name__}: {error}" if isinstance(error, MemoryError) else str(error)})
        sys.exit(1)


if __name__ == "__main__":
    main()
