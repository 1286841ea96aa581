"""Runs trtexec, the program that makes plans."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sightline.contract import TensorSpec
from sightline.errors import ExportError

STRONGLY_TYPED_ALWAYS = 11
"""First TensorRT whose networks are strongly typed whatever it is told; to 10, types are a proposal if not told so."""
OLDEST = 10
"""First TensorRT that takes INT64 and UINT8 inputs."""
_ERROR_MARK = "[E]"
_SHOWN_LINES = 8


@dataclass(frozen=True, kw_only=True)
class PlanJob:
    """One plan to be made.

    Attributes:
        onnx: the graph.
        plan: where the plan is written.
        log: where what trtexec prints is written.
        inputs: the network's inputs.
        batches: images in a batch: at least, tuned for, at most.
        workspace_mib: GPU memory for a layer's intermediate results, in MiB.
        timing_cache: file that makes the next build of the same layers quicker.
    """

    onnx: Path
    plan: Path
    log: Path
    inputs: tuple[TensorSpec, ...]
    batches: tuple[int, int, int]
    workspace_mib: int
    timing_cache: Path


def check_version(tensorrt: str) -> int:
    """The major version of TensorRT, if plans can be made with it.

    Raises:
        ExportError: it is too old.
    """
    major = int(tensorrt.partition(".")[0])
    if major < OLDEST:
        raise ExportError(
            f"TensorRT {tensorrt} is too old: plans need {OLDEST}.0 or newer (tritonserver 24.06 or newer)"
        )
    return major


def arguments(job: PlanJob, *, tensorrt: str) -> list[str]:
    """The command line for a version of TensorRT such as 10.13.3, without the program itself.

    Raises:
        ExportError: that version is too old.
    """
    shapes = zip(("--minShapes", "--optShapes", "--maxShapes"), job.batches, strict=True)
    return [
        f"--onnx={job.onnx}",
        f"--saveEngine={job.plan}",
        # An input that is left out here is pinned to batch 1.
        *(f"{option}={','.join(_shape(spec, batch) for spec in job.inputs)}" for option, batch in shapes),
        *(["--stronglyTyped"] if check_version(tensorrt) < STRONGLY_TYPED_ALWAYS else []),
        # TF32 has FP16's 11 bits, too few for what stays in FP32.
        "--noTF32",
        f"--memPoolSize=workspace:{job.workspace_mib}M",
        f"--timingCacheFile={job.timing_cache}",
        "--skipInference",
    ]


def _shape(spec: TensorSpec, batch: int) -> str:
    return f"{spec.name}:{'x'.join(map(str, (batch, *spec.dims)))}"


def run_trtexec(program: str, job: PlanJob, *, tensorrt: str, timeout_seconds: float) -> None:
    """Make the plan; trtexec and all that it started end with this call.

    Raises:
        ExportError: it failed, took too long or wrote nothing; the message has the last errors that it printed.
        OSError: it cannot be started, or the log cannot be written.
    """
    command = [program, *arguments(job, tensorrt=tensorrt)]
    with job.log.open("wb") as log:
        log.write(f"{' '.join(command)}\n".encode())
        log.flush()
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            status = running.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            raise ExportError(
                f"trtexec took longer than {timeout_seconds:.0f} seconds and was stopped; allow more with --timeout. "
                f"Its last lines:\n{last_lines(job.log)}"
            ) from None
        finally:
            _end(running)
    if status:
        how = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
        raise ExportError(f"trtexec {how}; all that it printed is in {job.log}, the end is:\n{last_lines(job.log)}")
    if not job.plan.is_file() or not job.plan.stat().st_size:
        raise ExportError(f"trtexec wrote no plan though it reported none missing; see {job.log}")


def _end(running: subprocess.Popen[bytes]) -> None:
    if running.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def last_lines(log: Path) -> str:
    """The last errors in a log, or its last lines where it has none."""
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines()[1:] if line.strip()]
    errors = [line for line in lines if _ERROR_MARK in line]
    return "\n".join(f"  {line[:500]}" for line in (errors or lines)[-_SHOWN_LINES:]) or "  (nothing)"
