"""A pickle, followed with nothing but records at hand.

Whatever the pickle names is looked up in a fixed table whose entries only hold data, so no code of any package can be
reached, run or replaced: not by a name, not by a call with odd arguments, and not by attributes that hide a method.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError

from .opcodes import named_globals
from .records import Dictionary, Numbers, TensorRecord, Unread, record_class, short

NUMBER_BYTES: Mapping[str, int] = {
    "DoubleStorage": 8,
    "FloatStorage": 4,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "LongStorage": 8,
    "IntStorage": 4,
    "ShortStorage": 2,
    "CharStorage": 1,
    "ByteStorage": 1,
    "BoolStorage": 1,
}
"""Bytes of one number, by the name of its storage class in `torch`."""
_UNREAD = (
    *("numpy.dtype", "numpy.ndarray", "_codecs.encode"),
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("scalar", "_reconstruct")),
)
_OTHER_TASKS = {
    "models.yolo.SegmentationModel": "segmentation",
    "models.yolo.Segment": "segmentation",
    "models.yolo.ClassificationModel": "classification",
    "models.common.Classify": "classification",
}
_FAILURES = (
    *(pickle.UnpicklingError, EOFError, AttributeError, TypeError, ValueError, LookupError, OverflowError),
    *(RecursionError, MemoryError),
)
"""What a pickle that makes no sense was seen to raise."""
_ELSEWHERE = "export it to ONNX where it was trained, and give that file"


class Contents:
    """What a checkpoint's pickle holds.

    Attributes:
        value: the pickled object, of plain values and records.
        rows: the rows of numbers that it looks at, by key.
    """

    def __init__(self, value: Any, rows: Mapping[str, Numbers]) -> None:
        self.value = value
        self.rows = rows


def read_contents(pickled: bytes, path: Path, *, classes: Collection[str]) -> Contents:
    """Follow a pickle.

    Args:
        pickled: the pickle.
        path: where it is from, for messages.
        classes: qualified names of the classes that become records.

    Raises:
        CheckpointError: it names anything else, or makes no sense.
    """
    names = named_globals(pickled, path)
    table = _table(classes)
    _check_names([name for name in names if name not in table], path)
    reader = _Reader(pickled, table)
    try:
        value = reader.load()
    except _FAILURES as error:
        raise CheckpointError(f"{path} holds a damaged pickle ({error}); copy it again, or save it anew") from error
    return Contents(value, reader.rows)


def plain_value(pickled: bytes, path: Path) -> Any:
    """A pickle of nothing but plain values.

    Raises:
        CheckpointError: it names anything, or makes no sense.
    """
    return read_contents(pickled, path, classes=()).value


class _Reader(pickle.Unpickler):
    """Looks everything up in a table of its own."""

    def __init__(self, pickled: bytes, table: Mapping[str, Any]) -> None:
        super().__init__(io.BytesIO(pickled))
        self._table = table
        self.rows: dict[str, Numbers] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Its entry in the table."""
        if (qualified_name := f"{module}.{name}") not in self._table:
            raise pickle.UnpicklingError(f"{qualified_name} is not allowed")
        return self._table[qualified_name]

    def persistent_load(self, pid: Any) -> Any:
        """A row of numbers; files before PyTorch 1.6 name classes so too, with their source code."""
        kind, *rest = pid
        if kind == "module":
            return rest[0]
        storage, key, _, count, *view = rest
        if kind != "storage" or storage not in NUMBER_BYTES or type(count) is not int or count < 0 or any(view):
            raise pickle.UnpicklingError(f"{short(pid)} is no row of numbers")
        row = Numbers(storage, str(key), count)
        if self.rows.setdefault(row.key, row) != row:
            raise pickle.UnpicklingError(f"the row {short(key)} is described in two ways")
        return row


def _table(classes: Collection[str]) -> dict[str, Any]:
    calls: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor_v2": _Tensor(),
        "torch._utils._rebuild_parameter": _Parameter(),
        "collections.OrderedDict": Dictionary,
        "__builtin__.set": set,
        "builtins.set": set,
    }
    return {
        **calls,
        **{f"torch.{storage}": storage for storage in NUMBER_BYTES},
        **dict.fromkeys(_UNREAD, Unread),
        **{name: record_class(name) for name in classes},
    }


class _Tensor:
    """Has no attributes that a pickle could set; those of a function would last as long as the process."""

    __slots__ = ()

    def __call__(self, numbers: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> TensorRecord:
        return TensorRecord(numbers, offset, shape, strides)


class _Parameter:
    """As `_Tensor`."""

    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        return tensor


def _check_names(refused: list[str], path: Path) -> None:
    """Say what kind of file it is rather, where the names tell."""
    tasks = sorted({_OTHER_TASKS[name] for name in refused if name in _OTHER_TASKS})
    code = [name for name in refused if not name.startswith(("models.", "torch.nn."))]
    if code:
        raise CheckpointError(
            f"{path} names code that is not run from an untrusted file: {_listed(code)}; if you trust it, {_ELSEWHERE}"
        )
    if tasks:
        raise CheckpointError(f"{path} is a YOLOv5 model for {' and '.join(tasks)}; only detectors can be exported")
    if refused:
        raise CheckpointError(
            f"{path} has layers that are not known here: {_listed(refused)}; known are those of the detectors that "
            f"ultralytics/yolov5 and ultralytics/yolov3 released. Else {_ELSEWHERE}"
        )


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
