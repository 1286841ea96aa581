"""Ask the NVIDIA driver, through its own library, what it is and which GPUs it has."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path
from typing import Any

from sightline.doctor.cpu import read_text
from sightline.doctor.facts import WINDOWS, Gpu, NvidiaDriver

_SUCCESS = 0
_TEXT_BYTES = 96
_NVIDIA_VENDOR = "0x10de"
_DISPLAY_CLASSES = ("0x0300", "0x0302")


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


def probe_driver() -> NvidiaDriver | None:
    """What the driver says, or None where there is none, or none that works."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if platform.system() == WINDOWS else "libnvidia-ml.so.1")
    except OSError:
        return None
    if nvml.nvmlInit_v2() != _SUCCESS:
        return None
    try:
        return _ask(nvml)
    finally:
        nvml.nvmlShutdown()


def _ask(nvml: Any) -> NvidiaDriver:
    version = ctypes.create_string_buffer(_TEXT_BYTES)
    nvml.nvmlSystemGetDriverVersion(version, _TEXT_BYTES)
    cuda, count = ctypes.c_int(0), ctypes.c_uint(0)
    nvml.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(cuda))
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    gpus = [_ask_gpu(nvml, index) for index in range(count.value)]
    return NvidiaDriver(
        version=version.value.decode(errors="replace"),
        cuda_version=parse_cuda_version(cuda.value),
        gpus=tuple(gpu for gpu in gpus if gpu is not None),
    )


def _ask_gpu(nvml: Any, index: int) -> Gpu | None:
    handle = ctypes.c_void_p()
    if nvml.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle)) != _SUCCESS:
        return None  # a GPU that this process may not use
    name, memory = ctypes.create_string_buffer(_TEXT_BYTES), _Memory()
    major, minor = ctypes.c_int(0), ctypes.c_int(0)
    nvml.nvmlDeviceGetName(handle, name, _TEXT_BYTES)
    nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    nvml.nvmlDeviceGetCudaComputeCapability(handle, ctypes.byref(major), ctypes.byref(minor))
    return Gpu(name.value.decode(errors="replace"), int(memory.total), (major.value, minor.value))


def parse_cuda_version(number: int) -> tuple[int, int]:
    """(12, 8) of the driver's 12080."""
    return number // 1000, number % 1000 // 10


def has_nvidia_card(devices: Path = Path("/sys/bus/pci/devices")) -> bool:
    """Whether Linux sees an NVIDIA display device on the PCI bus, with or without a driver."""
    if not devices.is_dir():
        return False
    return any(
        (read_text(device / "vendor") or "").strip() == _NVIDIA_VENDOR
        and (read_text(device / "class") or "").startswith(_DISPLAY_CLASSES)
        for device in devices.iterdir()
    )
