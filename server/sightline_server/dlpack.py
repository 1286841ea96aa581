"""Arrays that are not numpy's own, such as those in a GPU's memory: taken from, and handed to, others by DLPack.

Written out with ctypes, since the only thing needed is an address with a shape, and nothing that is installed here
gives that for slices of what DALI and Triton hold.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

CPU, CUDA = 1, 2
"""DLPack's kinds of memory."""
FRESH = b"dltensor"
"""Name of a capsule that nobody has taken."""
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_KINDS = {code: kind for kind, code in _CODES.items()}

get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
get_pointer.restype = ctypes.c_void_p
get_pointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
new_capsule = ctypes.pythonapi.PyCapsule_New
new_capsule.restype = ctypes.py_object
new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Managed(ctypes.Structure):
    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


_handed_out: dict[int, tuple[_Managed, Any, object]] = {}
"""Descriptions that others hold, by address, with their shapes and what keeps the memory."""


def _forget(address: int) -> None:
    _handed_out.pop(address, None)


_on_release = _Deleter(_forget)


@dataclass(frozen=True, eq=False, kw_only=True)
class RawArray:
    """Values that lie in C order without gaps, ready to be read.

    Attributes:
        pointer: address of the first.
        shape: as of a numpy array.
        dtype: likewise.
        device: DLPack's kind of memory, and the device's number.
        owner: whatever keeps the memory as long as it lives.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    device: tuple[int, int]
    owner: object

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        """Size in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __dlpack__(self, **_wishes: object) -> object:
        # The values are there already, so no stream has to wait for them.
        shape = (ctypes.c_int64 * len(self.shape))(*self.shape)
        kind = _DataType(_CODES[self.dtype.kind], self.dtype.itemsize * 8, 1)
        tensor = _Tensor(self.pointer, _Device(*self.device), len(self.shape), kind, shape, None, 0)
        managed = _Managed(tensor, None, _on_release)
        address = ctypes.addressof(managed)
        _handed_out[address] = (managed, shape, self.owner)
        capsule: object = new_capsule(address, FRESH, None)
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


Values = npt.NDArray[Any] | RawArray


def raw_array(exporter: Any) -> RawArray:
    """What another library's array describes by DLPack, without copying; it must be ready to be read.

    Raises:
        ValueError: its values do not lie in C order, or are of a type that numpy lacks.
    """
    capsule = exporter.__dlpack__()
    tensor = _Managed.from_address(get_pointer(capsule, FRESH)).tensor
    shape = tuple(tensor.shape[: tensor.ndim])
    if tensor.strides and tuple(tensor.strides[: tensor.ndim]) != _c_strides(shape):
        raise ValueError(f"an array of shape {shape} does not lie in C order")
    if tensor.dtype.code not in _KINDS or tensor.dtype.lanes != 1:
        raise ValueError(f"elements of DLPack's type {tensor.dtype.code} are not served")
    return RawArray(
        pointer=(tensor.data or 0) + tensor.byte_offset,
        shape=shape,
        dtype=np.dtype(f"{_KINDS[tensor.dtype.code]}{tensor.dtype.bits // 8}"),
        device=(tensor.device.kind, tensor.device.number),
        owner=capsule,  # as long as nobody takes it, it holds the exporter
    )


def adjoining(arrays: Sequence[RawArray]) -> RawArray | None:
    """The arrays as one along the first axis, where each begins in memory at the end of the one before; else None."""
    first = arrays[0]
    end = first.pointer
    for array in arrays:
        if (array.pointer, array.device, array.shape[1:]) != (end, first.device, first.shape[1:]):
            return None
        end += array.nbytes
    shape = (sum(map(len, arrays)), *first.shape[1:])
    owner = tuple(array.owner for array in arrays)
    return RawArray(pointer=first.pointer, shape=shape, dtype=first.dtype, device=first.device, owner=owner)


def _c_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Distances, in elements, between neighbours along each axis."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
