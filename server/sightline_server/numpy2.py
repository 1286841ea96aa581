"""Makes the wheel's Python backend work with numpy 2.

Its programs were compiled against numpy 1, and read the size of an element where numpy 2 keeps something else: inputs
then repeat their first element and outputs are empty, without an error. DLPack describes arrays by itself, so both
directions go that way here. The launcher adds a call of `repair` to the module that every Python model imports.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline_server.dlpack import CPU, FRESH, get_pointer, new_capsule

_TAKEN = b"used_dltensor"

_set_name = ctypes.pythonapi.PyCapsule_SetName
_set_name.restype = ctypes.c_int
_set_name.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Export:
    """An array as DLPack in a capsule that may be renamed to anything.

    Triton marks a capsule that it took by another name than the one that numpy's own clean-up looks for, which would
    print an error for every tensor.
    """

    def __init__(self, array: npt.NDArray[Any]) -> None:
        self._array = array

    def __dlpack__(self, stream: object = None) -> object:
        capsule = self._array.__dlpack__()
        pointer = get_pointer(capsule, FRESH)
        _set_name(capsule, _TAKEN)
        # From here on whoever takes the new capsule frees the description, and with it lets go of the array.
        fresh: object = new_capsule(pointer, FRESH, None)
        return fresh

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU, 0


def repair(tensor: Any) -> None:
    """Replace what numpy 2 breaks in the class `Tensor` of Triton's Python backend; does nothing for numpy 1."""
    if int(np.__version__.partition(".")[0]) < 2:
        return
    compiled_dlpack = tensor.__dlpack__

    def dlpack(self: Any, **_wishes: object) -> object:
        # Knows none of the wishes that newer versions of the protocol may state, which is allowed.
        return compiled_dlpack(self)

    tensor.__dlpack__ = dlpack
    tensor.as_numpy = _as_numpy
    # Creating one returns a finished object, which must not be made a second time the broken way.
    tensor.__new__ = staticmethod(_new_tensor)
    tensor.__init__ = _init_nothing


def _as_numpy(tensor: Any) -> npt.NDArray[Any]:
    """A copy of the tensor's values, which may be kept and changed."""
    return np.array(np.from_dlpack(tensor))


def _new_tensor(cls: Any, name: str, values: npt.NDArray[Any]) -> Any:
    exportable = np.ascontiguousarray(values)
    if not exportable.flags.writeable:
        exportable = exportable.copy()
    return cls.from_dlpack(name, _Export(exportable))


def _init_nothing(tensor: Any, name: str, values: npt.NDArray[Any]) -> None:
    """Accept what `_new_tensor` took."""
