"""NVIDIA's driver library over this process's memory, so that every address is good for every device."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline_server.dlpack import CUDA, RawArray

INVALID_DEVICE, OUT_OF_MEMORY, INVALID_HANDLE = 101, 2, 400


class FakeDriver:
    """As much of the library as `CudaDevice` calls.

    Args:
        gpus: how many there are.
        memory: bytes that can be allocated.

    Attributes:
        contexts: in which context each address was allocated; that of a GPU is 1000 and its number.
        shared: addresses that another process has opened.
    """

    def __init__(self, *, gpus: int = 2, memory: int = 2**24) -> None:
        self.gpus = gpus
        self.free = memory
        self.allocated: dict[int, Any] = {}
        self.current = 0
        self.contexts: dict[int, int] = {}
        self.shared: set[int] = set()
        self.copies: list[int] = []
        self.waiting = 0

    def cuInit(self, flags: int) -> int:  # noqa: N802 - NVIDIA's names
        return 0

    def cuDeviceGet(self, out: Any, index: int) -> int:  # noqa: N802
        out._obj.value = index
        return 0 if index < self.gpus else INVALID_DEVICE

    def cuDevicePrimaryCtxRetain(self, out: Any, device: Any) -> int:  # noqa: N802
        out._obj.value = 1000 + device.value
        return 0

    def cuCtxSetCurrent(self, context: Any) -> int:  # noqa: N802
        self.current = context.value
        return 0

    def cuStreamCreate(self, out: Any, flags: int) -> int:  # noqa: N802
        out._obj.value = 7
        return 0

    def cuMemAlloc_v2(self, out: Any, size: Any) -> int:  # noqa: N802
        if size.value > self.free:
            return OUT_OF_MEMORY
        buffer = ctypes.create_string_buffer(size.value)
        self.free -= size.value
        self.allocated[ctypes.addressof(buffer)] = buffer
        self.contexts[ctypes.addressof(buffer)] = self.current
        out._obj.value = ctypes.addressof(buffer)
        return 0

    def cuMemFree_v2(self, pointer: Any) -> int:  # noqa: N802
        self.free += len(self.allocated.pop(pointer.value))
        return 0

    def cuIpcGetMemHandle(self, out: Any, pointer: Any) -> int:  # noqa: N802
        ctypes.memmove(out._obj.value, pointer.value.to_bytes(8, "little"), 8)
        return 0

    def cuIpcOpenMemHandle_v2(self, out: Any, handle: Any, flags: Any) -> int:  # noqa: N802
        out._obj.value = int.from_bytes(bytes(handle)[:8], "little")
        self.shared.add(out._obj.value)
        return 0 if out._obj.value in self.allocated else INVALID_HANDLE

    def cuMemcpyAsync(self, target: Any, source: Any, size: Any, stream: Any) -> int:  # noqa: N802
        assert stream.value == 7
        ctypes.memmove(target.value, source.value, size.value)
        self.copies.append(size.value)
        self.waiting += 1
        return 0

    def cuStreamSynchronize(self, stream: Any) -> int:  # noqa: N802
        self.waiting = 0
        return 0


def on_gpu(values: npt.NDArray[Any], gpu: int = 0) -> RawArray:
    """An array that says that it lies on a GPU."""
    values = np.ascontiguousarray(values)
    return RawArray(
        pointer=values.ctypes.data, shape=values.shape, dtype=values.dtype, device=(CUDA, gpu), owner=values
    )
