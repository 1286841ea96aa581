"""Tries an engine on one model in a process of its own: on some machines it ends the process instead of raising.

`python -m sightline_server.smoke_test MODEL_FILE INPUTS_FILE PRECISION [GPU]` prints what is wrong, or nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.contract import Precision
from sightline.errors import SightlineError
from sightline_server.engines import Array, Arrays, Engine, EngineError, OnnxRuntimeEngine, OpenVinoEngine
from sightline_server.onnx_gpu import open_on_gpu

TIMEOUT_SECONDS = 300.0
_SEED = 21


@dataclass(frozen=True)
class Tolerance:
    """How far an engine may be from ONNX Runtime on the CPU.

    What a network finds in a sample without objects hangs by a thread, more so in a quantised one. So a difference is
    measured against that which a little noise in the inputs makes within ONNX Runtime itself.

    Attributes:
        noise: amplitude in grey levels, of 255.
        noises: differences allowed, in units of what the noise makes.
        floor: a difference that is always allowed, from 0 (equal) to 2 (nothing in common).
    """

    noise: int
    noises: float
    floor: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(noise=1, noises=3, floor=0.05),
    # Eight significant bits in every layer.
    "bf16": Tolerance(noise=4, noises=3, floor=0.5),
}


def try_engine(
    file: Path,
    inputs: Arrays,
    precision: Precision,
    *,
    device: int | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> str:
    """Why OpenVINO, or ONNX Runtime on a GPU, must not run this model here; empty where it may.

    Args:
        file: the ONNX graph.
        inputs: a batch of its inputs.
        precision: arithmetic that the engine is to use.
        device: number of the GPU; None tries OpenVINO on the CPU.
        timeout_seconds: longest wait.
    """
    engine = _name(device)
    with tempfile.TemporaryDirectory(prefix="sightline-smoke-") as folder:
        samples = Path(folder) / "inputs.npz"
        np.savez(samples, allow_pickle=False, **inputs)
        command = [sys.executable, "-m", __name__, str(file), str(samples), precision]
        command += [] if device is None else [str(device)]
        try:
            done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, text=True, check=False)
        except subprocess.TimeoutExpired:
            return f"{engine} did not answer within {timeout_seconds:g} s"
    if done.returncode or _last_line(done.stdout):
        sys.stderr.write(done.stderr)  # the engine's own words, for the server's log
    if done.returncode < 0:
        return f"{engine} crashed ({signal.Signals(-done.returncode).name})"
    if done.returncode:
        return f"{engine} failed: {_last_line(done.stderr)}"
    return _last_line(done.stdout)


def disagreement(
    expected: Arrays, disturbed: Arrays, received: Arrays, tolerance: Tolerance, engine: str = "OpenVINO"
) -> str:
    """What is wrong with an engine's outputs; empty where nothing is.

    Args:
        expected: ONNX Runtime's outputs.
        disturbed: its outputs for the same inputs with noise.
        received: the engine's outputs.
        tolerance: how far they may be from one another.
        engine: its name.
    """
    for name, reference in expected.items():
        value = received[name]
        if (value.shape, value.dtype) != (reference.shape, reference.dtype):
            return (
                f"{engine}'s output {name!r} is {value.dtype} {value.shape}, "
                f"ONNX Runtime's {reference.dtype} {reference.shape}"
            )
        if value.dtype.kind != "f":
            continue  # counts and class ids follow from the rest, and jump
        if not np.isfinite(value).all():
            return f"{engine}'s output {name!r} is not finite"
        allowed = tolerance.floor + tolerance.noises * difference(reference, disturbed[name])
        found = difference(reference, value)
        if found > allowed:
            return f"{engine}'s output {name!r} differs from ONNX Runtime's by {found:.2f}, more than {allowed:.2f}"
    return ""


def difference(a: Array, b: Array) -> float:
    """How different two arrays of one shape are, from 0 (equal) to 2 (nothing in common).

    They are compared in order of size, since engines order objects of almost the same score differently.
    """
    first, second = (np.sort(values.astype(np.float64), axis=None) for values in (a, b))
    scale = (np.abs(first).sum() + np.abs(second).sum()) / 2
    return float(np.abs(first - second).sum() / scale) if scale > 0 else 0.0


def with_noise(inputs: Arrays, levels: int) -> Arrays:
    """The inputs with noise of that amplitude in grey levels, of 255, in what looks like pixels; the same each time."""
    rng = np.random.default_rng(_SEED)
    return {name: _with_noise(values, levels, rng) for name, values in inputs.items()}


def _with_noise(values: Array, levels: int, rng: np.random.Generator) -> Array:
    if values.dtype == np.uint8:
        noise = rng.integers(-levels, levels + 1, values.shape)
        noisy: Array = np.clip(values.astype(np.int64) + noise, 0, 255).astype(np.uint8)
        return noisy
    if values.dtype.kind == "f":
        factors = 1 + rng.uniform(-levels, levels, values.shape) / 255
        return np.asarray(values * factors, values.dtype)
    return values


def _last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")


def _name(device: int | None) -> str:
    return "OpenVINO" if device is None else f"ONNX Runtime on GPU {device}"


def _candidate(file: Path, precision: Precision, device: int | None) -> Engine:
    return OpenVinoEngine(file, precision=precision, threads=1) if device is None else open_on_gpu(file, device)


def main(file: str, inputs_file: str, precision: Precision, device: int | None) -> None:
    """Print what is wrong."""
    with np.load(inputs_file) as archive:
        inputs = {name: archive[name] for name in archive.files}
    try:
        received = _candidate(Path(file), precision, device).run(inputs)
        tolerance = TOLERANCES[precision]
        reference = OnnxRuntimeEngine(Path(file), threads=1)
        expected, disturbed = (reference.run(given) for given in (inputs, with_noise(inputs, tolerance.noise)))
    except (EngineError, SightlineError) as error:
        print(error)
        return
    print(disagreement(expected, disturbed, received, tolerance, _name(device)))


if __name__ == "__main__":
    given_device = int(sys.argv[4]) if sys.argv[4:] else None
    main(sys.argv[1], sys.argv[2], "bf16" if sys.argv[3] == "bf16" else "fp32", given_device)
