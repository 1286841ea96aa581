"""What an ONNX file says about itself, as Ultralytics and others write it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from sightline.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """Facts from `metadata_props`; None where the file does not say.

    Attributes:
        class_names: one per class id.
        stride: largest stride, in pixels.
        image_size: side of the input, in pixels.
    """

    class_names: tuple[str, ...] | None = None
    stride: int | None = None
    image_size: int | None = None


def read_metadata(model: onnx.ModelProto, source: Path) -> Metadata:
    """Metadata of a detector.

    Raises:
        CheckpointError: it says that the model is for another task, or its class names cannot be read.
    """
    values = {entry.key: entry.value for entry in model.metadata_props}
    task = values.get("task", "detect")
    if task != "detect":
        raise CheckpointError(f"{source} says that it is for the task {task!r}; only detectors can be exported")
    names = _class_names(values["names"], source) if "names" in values else None
    stride, size = _literal(values.get("stride")), _literal(values.get("imgsz"))
    return Metadata(
        class_names=names,
        stride=stride if isinstance(stride, int) and stride > 0 else None,
        image_size=size[0] if isinstance(size, list) and len({*size}) == 1 and isinstance(size[0], int) else None,
    )


def _class_names(text: str, source: Path) -> tuple[str, ...]:
    """Names from a Python or JSON literal: a list, or a dict by class id."""
    names = _literal(text)
    if isinstance(names, dict) and all(str(key).isdecimal() for key in names):
        by_id = {int(key): value for key, value in names.items()}
        if sorted(by_id) == list(range(len(names))):
            names = [by_id[index] for index in range(len(names))]
    if isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        return tuple(names)
    raise CheckpointError(
        f"{source} holds class names that cannot be read: {text[:100]!r}; it must be a list, or a dict whose keys are "
        "0, 1, 2 …"
    )


def _literal(text: str | None) -> Any:
    try:
        return ast.literal_eval(text) if text else None
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
