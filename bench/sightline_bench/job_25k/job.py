"""The job itself: a server with the group, `sightline detect` over the names, and looks at both."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import tritonclient.grpc

from sightline.errors import MeasurementError
from sightline.writers.jsonl import RESULTS_FILE
from sightline_bench.job_25k.watch import Sample, Watch
from sightline_bench.material.exports import Exported
from sightline_bench.measure.server_steps import StepCount, count_steps
from sightline_bench.pages import units
from sightline_server.launcher import EmbeddedServer, ServerOptions

DETECT, OURSELVES = "sightline detect", "this measurement"
LOG_FILE = "detect.log"
"""What `sightline detect` printed, beside its results."""
_LAST_LINES = 8
_TELL_SECONDS = 30.0
_LEAST_IMAGES = 32
"""Fewer say nothing about the whole."""
_DONE, _SOME_FAILED = 0, 1
"""Exit statuses of `sightline detect` that leave whole results."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        exported: the group.
        names: folder of the pictures.
        count: of them.
        output: folder of the results.
        formats: that are written.
        every_seconds: between two looks.
        tell: is told how far it is.
    """

    exported: Exported
    names: Path
    count: int
    output: Path
    formats: Sequence[str]
    every_seconds: float
    tell: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Course:
    """What became of it.

    Attributes:
        interrupted: whether it was ended early.
        server_start_seconds: until every model was ready.
        seconds: of `sightline detect`.
        watch: what was seen meanwhile.
        steps: what the server counted, by model.
    """

    interrupted: bool
    server_start_seconds: float
    seconds: float
    watch: Watch
    steps: Mapping[str, StepCount]

    @property
    def images(self) -> int:
        """That were done."""
        return self.watch.samples[-1].images


def run_job(job: Job) -> Course:
    """Serve and detect; Ctrl-C ends it early, and what was measured until then is given.

    Raises:
        MeasurementError: `sightline detect` failed as a whole; the message has the end of what it printed.
        LaunchError: the server does not start.
    """
    options = ServerOptions(
        repository=job.exported.repository, models=(job.exported.model,), grpc_port=0, http_port=0, metrics_port=0
    )
    began = time.monotonic()
    with EmbeddedServer(options) as server:
        ready = time.monotonic() - began
        job.tell(f"the server was ready in {ready:.1f} s")
        computing = [name for name in server.model_names() if name != job.exported.model]
        with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
            before = count_steps(client, computing)
            interrupted, seconds, watch = _detect(job, server.grpc_url)
            after = count_steps(client, computing)
    return Course(
        interrupted=interrupted,
        server_start_seconds=ready,
        seconds=seconds,
        watch=watch,
        steps={model: after[model] - before[model] for model in computing},
    )


def _detect(job: Job, url: str) -> tuple[bool, float, Watch]:
    """Run `sightline detect` to its end: whether it was ended early, how long it took, what was seen meanwhile."""
    program = str(Path(sys.executable).with_name("sightline"))
    words = [
        "--url",
        url,
        "--model",
        job.exported.model,
        "--output",
        str(job.output),
        "--format",
        ",".join(job.formats),
    ]
    log = job.output / LOG_FILE
    began = time.monotonic()
    with log.open("wb") as printed:
        process = subprocess.Popen(
            [program, "detect", str(job.names), *words],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches this process, which passes it on
        )
    titles = {os.getpid(): OURSELVES, process.pid: DETECT}
    watch = Watch(os.getpid(), job.output / RESULTS_FILE, job.every_seconds, titles, _Progress(job))
    try:
        with watch:
            interrupted = _wait_or_interrupt(process, job.tell)
            seconds = time.monotonic() - began
    finally:
        process.kill()
        status = process.wait()
    if not interrupted and status not in (_DONE, _SOME_FAILED):
        last = "\n".join(log.read_text(errors="replace").strip().splitlines()[-_LAST_LINES:])
        raise MeasurementError(f"`sightline detect` ended with {status}:\n{last}")
    return interrupted, seconds, watch


def _wait_or_interrupt(process: subprocess.Popen[bytes], tell: Callable[[str], None]) -> bool:
    """Until it has ended, or Ctrl-C has ended it."""
    try:
        _wait(process)
    except KeyboardInterrupt:
        tell("ending early: what is under way is finished and written; Ctrl-C once more ends at once")
        try:
            process.send_signal(signal.SIGINT)
            _wait(process)
        except KeyboardInterrupt:
            process.kill()
            _wait(process)
        return True
    return False


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until it has ended; it stays as it ended, so that what it used can still be read."""
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


class _Progress:
    """Tells from time to time how far a job is and when it will end."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._next = 0.0

    def __call__(self, sample: Sample) -> None:
        if sample.images < min(_LEAST_IMAGES, self._job.count) or sample.seconds < self._next:
            return
        self._next = sample.seconds + _TELL_SECONDS
        rate = sample.images / sample.seconds
        left = (self._job.count - sample.images) / rate
        end = datetime.now(timezone.utc) + timedelta(seconds=left)
        self._job.tell(
            f"{sample.images:,} of {self._job.count:,} images, {rate:.2f} images/s; expected end {end:%H:%M:%S} UTC, "
            f"in {units.duration(left)}"
        )
