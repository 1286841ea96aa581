"""Reads attributes of records, and believes none of them unchecked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sightline.errors import CheckpointError

from .records import Numbers, Record, TensorRecord, short

_KINDS = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LARGEST_STEP = 128
"""No kernel, stride or border of a detector is larger, in places."""


@dataclass(frozen=True)
class Fields:
    """One record's attributes.

    Attributes:
        record: whose attributes.
        place: where it stands, such as `model.24.m`, for messages.
        path: the checkpoint, for messages.
        numbers: rows of little-endian numbers, by key.
    """

    record: Record
    place: str
    path: Path
    numbers: Mapping[str, bytes]

    def parts(self) -> dict[str, Fields]:
        """The modules inside, by name, in order."""
        return {
            str(name): Fields(part, f"{self.place}.{name}", self.path, self.numbers)
            for name, part in self._group("_modules").items()
            if isinstance(part, Record)
        }

    def value(self, name: str, default: Any = None) -> Any:
        """An attribute as it stands in the file."""
        return self.record.attributes.get(name, default)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """A yes or no."""
        if type(value := self.value(name, default)) is not bool:
            raise self.error(f"{name} is {short(value)}, not True or False")
        return value

    def whole(self, name: str, *, low: int, high: int = 1 << 20) -> int:
        """A whole number from `low` to `high`."""
        if type(value := self.value(name)) is not int or not low <= value <= high:
            raise self.error(f"{name} is {short(value)}, not a whole number from {low} to {high}")
        return value

    def steps(self, name: str, *, low: int, count: int) -> tuple[int, ...]:
        """`count` distances in places, from `low`; one number stands for all of them."""
        value = self.value(name)
        numbers = tuple(value) if isinstance(value, tuple | list) else (value,) * count
        if len(numbers) != count or not all(type(each) is int and low <= each <= _LARGEST_STEP for each in numbers):
            raise self.error(f"{name} is {short(value)}, not {count} whole numbers from {low} to {_LARGEST_STEP}")
        return numbers

    def pair(self, name: str, *, low: int) -> tuple[int, int]:
        """Distances in places along the height and the width."""
        along_height, along_width = self.steps(name, low=low, count=2)
        return along_height, along_width

    def number(self, name: str) -> float:
        """A finite number that is not negative."""
        value = self.value(name)
        if type(value) not in (int, float) or not (math.isfinite(value) and value >= 0):
            raise self.error(f"{name} is {short(value)}, not a number of at least 0")
        return float(value)

    def weight(self, name: str) -> Tensor:
        """A parameter, as float32."""
        return self._tensor(name, self._group("_parameters").get(name))

    def optional_weight(self, name: str) -> Tensor | None:
        """A parameter, as float32, or None where there is none."""
        return None if self._group("_parameters").get(name) is None else self.weight(name)

    def buffer(self, name: str) -> Tensor:
        """A tensor that is not trained, as float32."""
        return self._tensor(name, self._group("_buffers").get(name))

    def tensor(self, name: str) -> Tensor:
        """A tensor that is a plain attribute, as float32."""
        return self._tensor(name, self.value(name))

    def error(self, what: str) -> CheckpointError:
        """An error about this record."""
        return CheckpointError(f"{self.path}: {self.place} ({self.record.qualified_name}) cannot be read: {what}")

    def _group(self, name: str) -> dict[Any, Any]:
        if not isinstance(group := self.value(name, {}), dict):
            raise self.error(f"{name} is a {type(group).__name__}")
        return group

    def _tensor(self, name: str, record: Any) -> Tensor:
        if not isinstance(record, TensorRecord) or not isinstance(record.numbers, Numbers):
            raise self.error(f"it has no tensor {name}")
        row, offset, shape, strides = record
        plain = all(
            isinstance(axes, tuple) and all(type(axis) is int and axis >= 0 for axis in axes)
            for axes in (shape, strides, (offset,))
        )
        if not plain or len(shape) != len(strides) or math.prod(shape) > row.length:
            raise self.error(f"{name} has shape {short(shape)} and strides {short(strides)} in {row.length} numbers")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if not math.prod(shape) or last >= row.length:
            raise self.error(f"{name} is empty, or reaches beyond its {row.length} numbers")
        numbers = torch.frombuffer(bytearray(self.numbers[row.key]), dtype=_KINDS[row.kind])
        # The step along an axis of one place says nothing, and may be any number.
        steps = [stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True)]
        return numbers.as_strided(shape, steps, offset).to(torch.float32, copy=True).contiguous()
