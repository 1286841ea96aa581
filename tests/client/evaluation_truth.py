"""Small hand-made ground truth, and detections in it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline import Detections
from sightline.evaluation import GroundTruth, read_annotations

SIZE_HW = (400, 600)
CATEGORIES: tuple[dict[str, Any], ...] = ({"id": 3, "name": "cat"}, {"id": 17, "name": "dog"})

Row = tuple[float, float, float, float, float, int]
"""Left, top, right, bottom, score, class id."""


def box(image_id: int | str, category_id: int | str, xywh: Sequence[float], **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": list(xywh), **more}


def content(
    annotations: Sequence[dict[str, Any]],
    *,
    images: Sequence[int | str] = (10, 20),
    categories: Sequence[dict[str, Any]] = CATEGORIES,
) -> dict[str, Any]:
    height, width = SIZE_HW
    return {
        "images": [{"id": key, "file_name": f"{key}.jpg", "height": height, "width": width} for key in images],
        "categories": list(categories),
        "annotations": list(annotations),
    }


def write(folder: Path, value: object) -> Path:
    path = folder / "instances.json"
    path.write_text(json.dumps(value))
    return path


def truth(folder: Path, annotations: Sequence[dict[str, Any]], **more: Any) -> GroundTruth:
    return read_annotations(write(folder, content(annotations, **more)))


def detections(*rows: Row, names: tuple[str, ...] = ("cat", "dog")) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32), names, SIZE_HW)
