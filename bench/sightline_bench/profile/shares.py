"""What of a step that the server counts as a whole belongs to which part of it, from runs of the part beside it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.errors import MeasurementError
from sightline_bench.measure.rounds import take_turns
from sightline_bench.profile.detector import Detector, without_head
from sightline_bench.profile.engine_process import Job
from sightline_bench.profile.engines import EngineProcess

_TIMEOUT_SECONDS = 600.0
_LAST_LINES = 3


@dataclass(frozen=True)
class Share:
    """The first part of a step: decoding before the letterbox, or the network before its head.

    Attributes:
        part: of the step's time, 0 to 1; None where it could not be measured.
        reason: why not; empty where it was.
        part_milliseconds: for one picture.
        whole_milliseconds: likewise, in the same rounds.
    """

    part: float | None
    reason: str = ""
    part_milliseconds: float = 0.0
    whole_milliseconds: float = 0.0

    @classmethod
    def of(cls, part_seconds: Sequence[float], whole_seconds: Sequence[float]) -> Share:
        """From the fastest round of each, since what disturbs a round only adds to it."""
        part, whole = min(part_seconds), min(whole_seconds)
        return cls(part=min(1.0, part / whole), part_milliseconds=1000 * part, whole_milliseconds=1000 * whole)


def network_share(detector: Detector, job: Job, *, rounds: int) -> Share:
    """The network without its head, by the whole graph.

    Args:
        detector: whose graph it is.
        job: how the whole graph is run.
        rounds: runs of both, in turns.

    Raises:
        MeasurementError: the engine failed.
    """
    with ExitStack() as stack:
        file, reason = stack.enter_context(without_head(detector))
        if file is None:
            return Share(None, reason)
        whole = stack.enter_context(EngineProcess("whole graph", job))
        part = stack.enter_context(EngineProcess("without head", replace(job, file=str(file))))
        passes = take_turns([whole, part], rounds=rounds)
        return Share.of(*([each.seconds for each in passes[name]] for name in (part.name, whole.name)))


def decode_share(pipeline: Path, files: Sequence[Path], *, threads: int, rounds: int) -> Share:
    """Decoding alone, by decoding and bringing to size, one picture at a time.

    Args:
        pipeline: the preprocessing model's `dali.py`.
        files: image files that can be decoded.
        threads: that decode.
        rounds: over all files, each file first decoded, then the whole, or the other way round.

    Raises:
        MeasurementError: it cannot be run.
    """
    job = {"pipeline": str(pipeline), "files": list(map(str, files)), "threads": threads, "rounds": rounds}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sightline_bench.profile.decode_process"],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"decoding {len(files)} pictures took longer than {_TIMEOUT_SECONDS:g} s") from error
    if done.returncode:
        last = " ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        raise MeasurementError(f"decoding alone could not be measured: {last}")
    told = json.loads(done.stdout.splitlines()[-1])
    return Share.of(told["decode_seconds"], told["whole_seconds"])
