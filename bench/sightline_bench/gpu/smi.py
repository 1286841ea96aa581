"""What a GPU does while something runs on it, as `nvidia-smi` tells it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import NamedTuple

PROGRAM = "nvidia-smi"
_SAMPLE_MILLISECONDS = 100
_ANSWER_SECONDS = 60.0
_PATIENCE_SECONDS = 2.0
_QUERIED = ("utilization.gpu", "utilization.memory", "memory.used", "power.draw", "clocks.sm")
_DESCRIBED = ("name", "driver_version", "memory.total", "compute_cap", "mig.mode.current", "power.limit")
_MIB = 2**20


class Sample(NamedTuple):
    """One look at a GPU; None where it does not tell.

    Attributes:
        seconds: of `time.monotonic`, when it came.
        busy_percent: share of the last sample period, of a sixth of a second to a second, in which a kernel ran.
        memory_percent: likewise, in which its memory was read or written.
        used_bytes: its memory in use, by all programs.
        watts: power that it draws.
        sm_mhz: clock of its processors.
    """

    seconds: float
    busy_percent: float | None
    memory_percent: float | None
    used_bytes: int | None
    watts: float | None
    sm_mhz: float | None


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a GPU did over some time; None where nothing was seen.

    Attributes:
        samples: looks at it.
        busy_percent: mean.
        memory_percent: mean.
        peak_bytes: most memory in use, by all programs.
        watts: mean.
        sm_mhz: mean.
    """

    samples: int
    busy_percent: float | None
    memory_percent: float | None
    peak_bytes: int | None
    watts: float | None
    sm_mhz: float | None


def gpu_name() -> str:
    """What `nvidia-smi -i` takes for the first GPU that CUDA shows: it does not heed `CUDA_VISIBLE_DEVICES` itself."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip()
    return first or "0"


def lacking() -> str:
    """Why a GPU cannot be watched; empty where it can."""
    if shutil.which(PROGRAM) is None:
        return f"there is no {PROGRAM} on the PATH, which comes with the driver: use and memory of the GPU are unknown"
    return ""


def describe() -> dict[str, str]:
    """Name, driver, memory and more of the GPU, by `nvidia-smi`'s own names; empty where it does not tell."""
    command = [PROGRAM, "-i", gpu_name(), f"--query-gpu={','.join(_DESCRIBED)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    values = [value.strip() for value in done.stdout.strip().split(",")]
    if done.returncode or len(values) != len(_DESCRIBED):
        return {}
    return dict(zip(_DESCRIBED, values, strict=True))


def parse(line: str, seconds: float) -> Sample | None:
    """A line of what is queried, in `csv,noheader,nounits`; None for any other line, such as a message."""
    values = [value.strip() for value in line.split(",")]
    if len(values) != len(_QUERIED):
        return None
    busy, memory, used, watts, clock = (_number(value) for value in values)
    if (busy, memory, used, watts, clock) == (None,) * len(_QUERIED):
        return None
    return Sample(seconds, busy, memory, None if used is None else int(used * _MIB), watts, clock)


def _number(value: str) -> float | None:
    """None for what stands there where a GPU does not tell, such as `[N/A]`."""
    try:
        return float(value)
    except ValueError:
        return None


def summarise(samples: Iterable[Sample]) -> Use:
    """The means and the peak of some looks."""
    seen = list(samples)
    used = [each.used_bytes for each in seen if each.used_bytes is not None]
    return Use(
        samples=len(seen),
        busy_percent=_mean([each.busy_percent for each in seen]),
        memory_percent=_mean([each.memory_percent for each in seen]),
        peak_bytes=max(used, default=None),
        watts=_mean([each.watts for each in seen]),
        sm_mhz=_mean([each.sm_mhz for each in seen]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    told = [value for value in values if value is not None]
    return fmean(told) if told else None


class Watch:
    """Looks at the GPU ten times a second for as long as the context lasts; at nothing where it cannot.

    Attributes:
        problem: why there are no samples; empty where there are.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self.problem = lacking() if enabled else "no GPU takes part"
        self._samples: list[Sample] = []

    def __enter__(self) -> Watch:
        if not self.problem:
            command = [PROGRAM, "-i", gpu_name(), f"--query-gpu={','.join(_QUERIED)}"]
            command += ["--format=csv,noheader,nounits", f"--loop-ms={_SAMPLE_MILLISECONDS}"]
            # To a terminal, unlike to a pipe, every program writes a line when it is whole.
            self._terminal, theirs = os.openpty()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.STDOUT, start_new_session=True
            )
            os.close(theirs)
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self.problem:
            self._process.terminate()
            self._process.wait()
            self._reader.join()

    def between(self, begin: float, end: float) -> list[Sample]:
        """The looks between two moments of `time.monotonic`."""
        return [sample for sample in list(self._samples) if begin <= sample.seconds <= end]

    def used_bytes(self) -> int | None:
        """The GPU's memory in use now, by all programs; None where it is not watched or does not tell."""
        if self.problem:
            return None
        before = time.monotonic()
        while not (recent := self.between(before, time.monotonic())):
            if time.monotonic() > before + _PATIENCE_SECONDS or not self._reader.is_alive():
                return None
            time.sleep(_SAMPLE_MILLISECONDS / 1000)
        return recent[-1].used_bytes

    def _read(self) -> None:
        # The terminal's end comes as an error, once nobody has its other side open.
        with os.fdopen(self._terminal, encoding="utf-8", errors="replace") as lines, contextlib.suppress(OSError):
            for line in lines:
                if sample := parse(line, time.monotonic()):
                    self._samples.append(sample)
