"""Tries OpenVINO on one model in a process of its own: on some CPUs it ends the process instead of raising.

`python -m sightline_server.smoke_test MODEL_FILE INPUTS_FILE PRECISION` prints what is wrong, or nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from sightline.contract import Precision
from sightline.errors import SightlineError
from sightline_server.engines import Array, Arrays, EngineError, OnnxRuntimeEngine, OpenVinoEngine

TIMEOUT_SECONDS = 120.0
_TOLERANCES: dict[Precision, float] = {"fp32": 0.01, "bf16": 0.05}
"""Mean difference between the engines' sorted outputs, as a share of the largest value."""


def try_openvino(file: Path, inputs: Arrays, precision: Precision, *, timeout_seconds: float = TIMEOUT_SECONDS) -> str:
    """Why OpenVINO must not run this model here; empty where it may.

    Args:
        file: the ONNX graph.
        inputs: a batch of its inputs.
        precision: arithmetic that OpenVINO is to use.
        timeout_seconds: longest wait.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-smoke-") as folder:
        samples = Path(folder) / "inputs.npz"
        np.savez(samples, allow_pickle=False, **inputs)
        command = [sys.executable, "-m", __name__, str(file), str(samples), precision]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, text=True, check=False)
        except subprocess.TimeoutExpired:
            return f"OpenVINO did not answer within {timeout_seconds:g} s"
    if done.returncode < 0:
        return f"OpenVINO crashed ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        return f"OpenVINO failed: {_last_line(done.stderr)}"
    return _last_line(done.stdout)


def disagreement(expected: Arrays, received: Arrays, tolerance: float) -> str:
    """What is wrong with `received`; empty where it is finite and close to `expected`.

    Values are compared in order of size, since engines order objects of almost the same score differently, and by
    their mean, since an object close to the threshold may fall on either side of it.
    """
    for name, value in received.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            return f"OpenVINO's output {name!r} is not finite"
        reference = expected[name]
        if value.shape != reference.shape:
            return f"OpenVINO's output {name!r} has shape {value.shape}, ONNX Runtime's {reference.shape}"
        difference = _relative_difference(reference, value)
        if difference > tolerance:
            return f"OpenVINO's output {name!r} differs from ONNX Runtime's by {difference:.3f} of its largest value"
    return ""


def _relative_difference(expected: Array, received: Array) -> float:
    a, b = (np.sort(values.astype(np.float64), axis=None) for values in (expected, received))
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0))
    return float(np.abs(a - b).mean() / scale) if scale > 0 else 0.0


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def main(file: str, inputs_file: str, precision: Precision) -> None:
    """Print what is wrong."""
    with np.load(inputs_file) as archive:
        inputs = {name: archive[name] for name in archive.files}
    try:
        received = OpenVinoEngine(Path(file), precision=precision, threads=1).run(inputs)
        expected = OnnxRuntimeEngine(Path(file), threads=1).run(inputs)
    except (EngineError, SightlineError) as error:
        print(error)
        return
    print(disagreement(expected, received, _TOLERANCES[precision]))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], "bf16" if sys.argv[3] == "bf16" else "fp32")
