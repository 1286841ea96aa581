"""`results.jsonl` and `errors.jsonl`: one JSON object a line."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sightline.boxes import FloatArray
from sightline.detections import Detections, Found, GroupDetections, Result, Source
from sightline.errors import SightlineError
from sightline.writers.base import Write, Writer
from sightline.writers.files import AppendFile, JsonObject, encode_json

RESULTS_FILE = "results.jsonl"
ERRORS_FILE = "errors.jsonl"
BOX_DECIMALS = 2
"""A hundredth of a pixel is finer than any detector."""
SCORE_DECIMALS = 5


def result_record(source: Source, found: Found) -> JsonObject:
    """One line of `results.jsonl`: boxes in pixels of the picture after EXIF rotation, best score first.

    A detector's objects are a list under `detections`, those of a group's members are lists by name under `models`.
    """
    height, width = found.image_size_hw
    head: JsonObject = {"source": str(source), "width": int(width), "height": int(height)}
    if isinstance(found, GroupDetections):
        return {**head, "models": {model: _objects(detections) for model, detections in found.items()}}
    return {**head, "detections": _objects(found)}


def _objects(detections: Detections) -> list[JsonObject]:
    boxes = rounded(detections.boxes_xyxy, BOX_DECIMALS)
    scores = rounded(detections.scores, SCORE_DECIMALS)
    return [
        {"box_xyxy": box, "score": score, "class_id": class_id, "class_name": detections.class_names[class_id]}
        for box, score, class_id in zip(boxes, scores, detections.class_ids.tolist(), strict=True)
    ]


def rounded(values: FloatArray, decimals: int) -> list[Any]:
    """The same as (nested) lists of Python floats that print with at most so many decimals."""
    result: list[Any] = np.round(values.astype(np.float64), decimals).tolist()
    return result


def error_record(source: Source, error: SightlineError) -> JsonObject:
    """One line of `errors.jsonl`; `error` is a short word for programs, `reason` a sentence for people."""
    return {"source": str(source), "error": error_kind(error), "reason": str(error)}


def error_kind(error: SightlineError) -> str:
    """The error's own `kind`, or its class name: `ContractMismatchError` is `contract-mismatch`."""
    kind: str | None = getattr(error, "kind", None)
    return kind or re.sub(r"(?<!^)(?=[A-Z])", "-", type(error).__name__.removesuffix("Error")).lower()


class JsonLinesWriter(Writer):
    """`results.jsonl`, in the order of the results."""

    name: ClassVar[str] = "results"
    in_order: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        """Begin the file anew.

        Raises:
            OutputError: it cannot be made.
        """
        self._file = AppendFile(folder / RESULTS_FILE)

    def prepare(self, result: Result) -> Write:
        """See `Writer`."""
        found = result.unwrap() if result.group is None else result.group
        return lambda: self._file.append(encode_json(result_record(result.source, found)) + b"\n")

    def close(self) -> None:
        """See `Writer`."""
        self._file.close()


class ErrorLog:
    """`errors.jsonl`: every image that failed, and why; empty when none did. May be used from several threads."""

    def __init__(self, folder: Path) -> None:
        """Begin the file anew.

        Raises:
            OutputError: it cannot be made.
        """
        self._file = AppendFile(folder / ERRORS_FILE)
        self._lock = threading.Lock()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._file.path

    def add(self, source: Source, error: SightlineError) -> None:
        """Add one line.

        Raises:
            OutputError: it could not be written.
        """
        with self._lock:
            self._file.append(encode_json(error_record(source, error)) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
