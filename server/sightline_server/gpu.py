"""Finds the NVIDIA GPUs that programs started from here see, by asking the driver's own library.

Run as a program it prints what it found. `find_gpus` runs it so, because a process that has initialised CUDA can no
longer fork children that use it, and because a broken driver may end the process that asks. It needs nothing but
Python's own library.
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
from typing import Any

DRIVER_LIBRARY = "libcuda.so.1"
INSTALL_COMMAND = "make install-gpu (pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]')"
CANNOT_SHARE = "processes cannot share a GPU's memory here"
"""How a problem begins that keeps Triton's models from a GPU, but not a single process."""
_CUDA_PROVIDER_LIBRARY = "libonnxruntime_providers_cuda.so"
_TIMEOUT_SECONDS = 60.0
_SHARING_TIMEOUT_SECONDS = 30.0
_SHARED_BYTES = 2**21
_LAZY_PEER_ACCESS = 1
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


class CudaError(Exception):
    """The driver refused a call."""


class _Handle(ctypes.Structure):
    """By which another process finds memory of a GPU."""

    _fields_ = (("value", ctypes.c_ubyte * 64),)


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
    problem = _sharing_problem(cuda)
    return Gpus(problem=problem) if problem else Gpus(count=count.value, library=_mapped_file(DRIVER_LIBRARY))


def _sharing_problem(cuda: Any) -> str:
    """Why processes cannot share memory of the first GPU, as Triton's server and its models do; empty where they can.

    Where they cannot, as under WSL2, Triton 24.10 hands over whatever lay in the memory, or loses the model's process.
    """
    try:
        handle = share_memory(cuda)
    except CudaError as error:
        return f"{CANNOT_SHARE}: {error}"
    command = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), handle.hex()]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=_SHARING_TIMEOUT_SECONDS, check=False
    )  # which ends before this process, whose memory it is
    return f"{CANNOT_SHARE}: {done.stderr.strip()[-200:]}" if done.returncode else ""


def share_memory(cuda: Any) -> bytes:
    """A handle of some memory of the first GPU, which this process keeps until it ends.

    Raises:
        CudaError: the driver fails.
    """
    _enter_first_gpu(cuda)
    pointer, handle = ctypes.c_uint64(), _Handle()
    _call(cuda, "cuMemAlloc_v2", ctypes.byref(pointer), ctypes.c_size_t(_SHARED_BYTES))
    _call(cuda, "cuIpcGetMemHandle", ctypes.byref(handle), pointer)
    return bytes(handle)


def take_memory(cuda: Any, handle: bytes) -> None:
    """Open what another process shares.

    Raises:
        CudaError: the driver fails.
    """
    _enter_first_gpu(cuda)
    pointer = ctypes.c_uint64()
    _call(
        cuda,
        "cuIpcOpenMemHandle_v2",
        ctypes.byref(pointer),
        _Handle.from_buffer_copy(handle),
        ctypes.c_uint(_LAZY_PEER_ACCESS),
    )


def _enter_first_gpu(cuda: Any) -> None:
    device, context = ctypes.c_int(), ctypes.c_void_p()
    _call(cuda, "cuInit", 0)
    _call(cuda, "cuDeviceGet", ctypes.byref(device), 0)
    _call(cuda, "cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    _call(cuda, "cuCtxSetCurrent", context)


def _call(cuda: Any, name: str, *arguments: object) -> None:
    status: int = getattr(cuda, name)(*arguments)
    if status:
        raise CudaError(f"{name} fails with CUDA error {status}")


def _mapped_file(name: str) -> str:
    """Path of a library that this process has loaded."""
    stem = name.partition(".so")[0] + ".so"
    files = [line.split(maxsplit=5)[-1].strip() for line in Path("/proc/self/maps").read_text().splitlines()]
    return next((file for file in files if Path(file).name.startswith(stem)), "")


def _main(arguments: Sequence[str]) -> None:
    if not arguments:
        print(json.dumps(asdict(_ask_driver())))
        return
    try:
        take_memory(ctypes.CDLL(DRIVER_LIBRARY), bytes.fromhex(arguments[0]))
    except CudaError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(sys.argv[1:])
