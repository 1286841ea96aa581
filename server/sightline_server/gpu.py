"""Finds the NVIDIA GPUs that programs started from here see, by asking the driver's own library.

Run as a program it prints what it found. `find_gpus` runs it so, because a process that has initialised CUDA can no
longer fork children that use it, and because a broken driver may end the process that asks.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

DRIVER_LIBRARY = "libcuda.so.1"
INSTALL_COMMAND = "make install-gpu (pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]')"
_CUDA_PROVIDER_LIBRARY = "libonnxruntime_providers_cuda.so"
_TIMEOUT_SECONDS = 60.0
_NO_DEVICE = 100
"""CUDA's error where there is a driver and no GPU, or `CUDA_VISIBLE_DEVICES` hides them all."""


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """What was found.

    Attributes:
        count: GPUs, numbered from 0 as `CUDA_VISIBLE_DEVICES` leaves them.
        library: path of the driver's library; empty where there is none.
        problem: why there may be GPUs that cannot be used; empty where nothing is wrong.
    """

    count: int = 0
    library: str = ""
    problem: str = ""


NO_GPUS = Gpus()


def find_gpus() -> Gpus:
    """The GPUs that a child of this process would see; none, without a problem, where there is no driver."""
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return Gpus(problem=f"the NVIDIA driver did not answer within {_TIMEOUT_SECONDS:g} s")
    if done.returncode:
        last_words = done.stderr.strip()[-200:]
        return Gpus(problem=f"asking the NVIDIA driver ended with status {done.returncode}: {last_words}")
    return Gpus(**json.loads(done.stdout))


def lacking_engine(path: Sequence[str] | None = None) -> str:
    """Why nothing that is installed runs networks on GPUs; empty where something may.

    Args:
        path: folders of Python packages; None takes those of this process.
    """
    find = importlib.machinery.PathFinder.find_spec
    onnxruntime = find("onnxruntime", path)
    places = (onnxruntime.submodule_search_locations if onnxruntime else None) or ()
    if any((Path(place) / "capi" / _CUDA_PROVIDER_LIBRARY).is_file() for place in places) or find("tensorrt", path):
        return ""
    return f"the installed ONNX Runtime is the one without GPUs: {INSTALL_COMMAND}"


def instance_device(args: Mapping[str, str]) -> int | None:
    """Number of the GPU that Triton gave an instance, or None for one on the CPU.

    Args:
        args: what Triton hands to `initialize`.
    """
    return int(args["model_instance_device_id"]) if args["model_instance_kind"] == "GPU" else None


def _ask_driver() -> Gpus:
    try:
        cuda = ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return Gpus()
    count = ctypes.c_int(0)
    status = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
    if status:
        return Gpus(problem="" if status == _NO_DEVICE else f"the NVIDIA driver fails with CUDA error {status}")
    return Gpus(count=count.value, library=_mapped_file(DRIVER_LIBRARY))


def _mapped_file(name: str) -> str:
    """Path of a library that this process has loaded."""
    stem = name.partition(".so")[0] + ".so"
    files = [line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines()]
    return next((file for file in files if Path(file).name.startswith(stem)), "")


if __name__ == "__main__":
    print(json.dumps(asdict(_ask_driver())))
