"""Memory of one GPU, through the driver's library: as much of CUDA as handing tensors to an engine takes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import LaunchError
from sightline_server.dlpack import CUDA, RawArray, Values
from sightline_server.gpu import DRIVER_LIBRARY, CudaError

_NON_BLOCKING = 1


@dataclass(frozen=True, eq=False)
class Parts:
    """Arrays that are to stand one behind the other along the first axis; they agree in type and the other axes."""

    parts: tuple[Values, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))


def open_device(index: int) -> CudaDevice:
    """The GPU of that number.

    Raises:
        LaunchError: it cannot be used.
    """
    try:
        return CudaDevice(index)
    except (CudaError, OSError) as error:
        raise LaunchError(f"GPU {index} cannot be used: {error}") from error


class CudaDevice:
    """One GPU, for one thread at a time.

    Args:
        index: its number, from 0.
        library: the driver's library.

    Raises:
        CudaError: there is no such GPU, or the driver fails.
    """

    def __init__(self, index: int, library: Any = None) -> None:
        self.index = index
        self._cuda = ctypes.CDLL(DRIVER_LIBRARY) if library is None else library
        self._buffers: dict[str, tuple[int, int]] = {}
        self._call("cuInit", 0)
        device, context, stream = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuDeviceGet", ctypes.byref(device), index)
        # The context that CUDA's runtime, and so every engine in this process, uses.
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        self._context = context
        self.make_current()
        self._call("cuStreamCreate", ctypes.byref(stream), _NON_BLOCKING)
        self.stream = int(stream.value or 0)

    def make_current(self) -> None:
        """Have this thread's calls go to this GPU."""
        self._call("cuCtxSetCurrent", self._context)

    def buffer(self, name: str, size: int) -> int:
        """Address of at least `size` bytes that are kept under a name; what the name stood for before is gone."""
        pointer, capacity = self._buffers.get(name, (0, 0))
        if capacity < size:
            self.make_current()
            if pointer:
                self._call("cuMemFree_v2", ctypes.c_uint64(pointer))
                del self._buffers[name]
            new = ctypes.c_uint64()
            self._call("cuMemAlloc_v2", ctypes.byref(new), ctypes.c_size_t(size))
            pointer = new.value
            self._buffers[name] = (pointer, size)
        return pointer

    def place(self, name: str, values: Values | Parts) -> RawArray:
        """The values in this GPU's memory: where they lie, if in one piece here; else copied into the buffer `name`."""
        parts = values.parts if isinstance(values, Parts) else (values,)
        first = parts[0]
        if len(parts) == 1 and isinstance(first, RawArray) and first.device == (CUDA, self.index):
            return first
        shape = (sum(map(len, parts)), *first.shape[1:]) if first.shape else ()
        target = start = self.buffer(name, max(1, sum(part.nbytes for part in parts)))
        held = []
        for part in parts:
            source = part if isinstance(part, RawArray) else np.ascontiguousarray(part)
            held.append(source)
            self.copy(target, source.pointer if isinstance(source, RawArray) else source.ctypes.data, source.nbytes)
            target += source.nbytes
        self.synchronize()
        return RawArray(pointer=start, shape=shape, dtype=first.dtype, device=(CUDA, self.index), owner=self)

    def to_host(self, array: RawArray) -> npt.NDArray[Any]:
        """A copy in this process's memory."""
        values = np.empty(array.shape, array.dtype)
        self.copy(values.ctypes.data, array.pointer, array.nbytes)
        self.synchronize()
        return values

    def copy(self, target: int, source: int, size: int) -> None:
        """Begin to copy bytes between any two addresses, of whichever device or of this process."""
        self.make_current()
        addresses = ctypes.c_uint64(target), ctypes.c_uint64(source)
        self._call("cuMemcpyAsync", *addresses, ctypes.c_size_t(size), ctypes.c_void_p(self.stream))

    def synchronize(self) -> None:
        """Wait for everything begun on this object's stream."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def _call(self, name: str, *arguments: object) -> None:
        function: Callable[..., int] = getattr(self._cuda, name)
        status = function(*arguments)
        if status:
            raise CudaError(f"{name} on GPU {self.index} failed with CUDA error {status}")
