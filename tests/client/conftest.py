"""Fixtures that the client's tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
from tests.conftest import HARDWARE

from sightline import Detections
from sightline.contract import (
    DEFAULT_IMAGE_SIZE,
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    SCORE_FLOOR,
    network_name,
)
from sightline_server.launcher import EmbeddedServer

Labels = Literal["best class", "every class"]
Found = dict[str, Detections]
"""By file name."""


@pytest.fixture(scope="session")
def photos(shared_data: Path) -> list[Path]:
    """100 photos of COCO."""
    return sorted((shared_data / "coco" / "images").glob("*.jpg"))


@pytest.fixture(scope="session")
def serve_in(server: EmbeddedServer, serve_detector: Callable[[str], str]) -> Callable[[str, str], str]:
    """As `serve_detector`, for a test of one precision, which is skipped where the machine has no such arithmetic."""

    def serve(name: str, precision: str) -> str:
        model = serve_detector(name)
        engine = server.engines()[network_name(model)]
        if engine.precision != precision:
            pytest.skip(f"{HARDWARE}runs {precision} models in {engine.precision}: {engine.reason}")
        return model

    return serve


@pytest.fixture(scope="session")
def ultralytics_found(shared_data: Path, photos: list[Path]) -> dict[Labels, Found]:
    """What yolov8n finds in the photos in Ultralytics, with a square letterbox and scores from 0.001 on.

    The best classes are `predict`'s own. The network's output behind them, looked at as it passes, goes through the
    suppression of `val` as well, which gives every class.
    """
    from ultralytics.models import YOLO
    from ultralytics.utils import nms, ops

    model: Any = YOLO(str(shared_data / "weights" / "yolov8n.pt"))
    names = tuple(model.names[index] for index in range(len(model.names)))
    numbers = {"iou": DEFAULT_IOU_THRESHOLD, "max_det": DEFAULT_MAX_DETECTIONS}
    options = {"conf": SCORE_FLOOR, "imgsz": DEFAULT_IMAGE_SIZE, "rect": False, "device": "cpu", "verbose": False}
    model.predict(str(photos[0]), **numbers, **options)
    passed = _watch(model.predictor)
    best: Found = {}
    every: Found = {}
    for photo in photos:
        [result] = model.predict(str(photo), **numbers, **options)
        best[photo.name] = detections_of(result.boxes.data, names, result.orig_shape)
        pixels, predictions = passed.pop()
        [rows] = nms.non_max_suppression(
            predictions, SCORE_FLOOR, DEFAULT_IOU_THRESHOLD, multi_label=True, max_det=DEFAULT_MAX_DETECTIONS
        )
        rows[:, :4] = ops.scale_boxes(pixels.shape[2:], rows[:, :4], result.orig_shape)
        every[photo.name] = detections_of(rows, names, result.orig_shape)
    return {"best class": best, "every class": every}


def _watch(predictor: Any) -> list[tuple[Any, Any]]:
    """A list that gets what goes into the network and what comes out of it, whenever it runs."""
    passed: list[tuple[Any, Any]] = []
    run = predictor.inference

    def run_and_remember(pixels: Any, *arguments: Any, **options: Any) -> Any:
        output = run(pixels, *arguments, **options)
        passed.append((pixels, output[0] if isinstance(output, list | tuple) else output))
        return output

    predictor.inference = run_and_remember
    return passed


def detections_of(rows: Any, names: tuple[str, ...], size_hw: tuple[int, int]) -> Detections:
    """From rows of corners, score and class."""
    table: npt.NDArray[np.float32] = rows.cpu().numpy()
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int32), names, size_hw)
