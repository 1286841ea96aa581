"""Detections in made-up images, to compare."""

from __future__ import annotations

import numpy as np

from sightline.detections import Detections
from sightline.parity import ParityReport, compare

NAMES = ("person", "car", "dog")
SIZE_HW = (1000, 1000)
Objects = list[tuple[list[float], float, int]]
"""Box xyxy, score, class id."""


def detections(objects: Objects, *, size_hw: tuple[int, int] = SIZE_HW) -> Detections:
    boxes = np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in objects], np.float32)
    return Detections(boxes, scores, np.array([each[2] for each in objects], np.int32), NAMES, size_hw)


def scene(images: int = 10, objects: int = 12) -> dict[str, Objects]:
    """Boxes of 100 x 100 pixels that touch nobody."""
    return {
        f"{image}.jpg": [
            ([200 * (n % 4), 200 * (n // 4), 200 * (n % 4) + 100, 200 * (n // 4) + 100], 0.3 + 0.05 * n, n % 3)
            for n in range(objects)
        ]
        for image in range(images)
    }


def compared(reference: dict[str, Objects], candidate: dict[str, Objects]) -> ParityReport:
    return compare(
        {name: detections(objects) for name, objects in reference.items()},
        {name: detections(objects) for name, objects in candidate.items()},
    )


def counts(report: ParityReport) -> tuple[int, int, int, int]:
    return tuple(report.count(kind) for kind in ("matched", "missing", "extra", "set aside"))  # type: ignore[return-value]


def planted(change: Objects | None = None, *, extra: Objects | None = None) -> ParityReport:
    """A report where the first object of the first image is replaced, and more are added."""
    candidate = scene()
    if change is not None:
        candidate["0.jpg"][:1] = change
    candidate["0.jpg"] += extra or []
    return compared(scene(), candidate)
