"""The served chain against Ultralytics' own predictions, on real photos: the reason to trust it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Client, ClientOptions, Detections
from sightline.contract import DEFAULT_IOU_THRESHOLD, DEFAULT_SCORE_THRESHOLD, Precision, network_name
from sightline.parity import BF16_PARITY, FP32_PARITY, Bar, compare
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Path]:
    """100 photos of COCO."""
    return sorted((shared_data / "coco" / "images").glob("*.jpg"))


@pytest.fixture(scope="module")
def reference(shared_data: Path, photos: list[Path]) -> dict[str, Detections]:
    """What Ultralytics finds in them, with a square letterbox."""
    from ultralytics.models import YOLO

    model: Any = YOLO(str(shared_data / "weights" / "yolov8n.pt"))
    names = tuple(model.names[index] for index in range(len(model.names)))
    found = {}
    for photo in photos:
        [result] = model.predict(
            str(photo),
            imgsz=640,
            rect=False,
            conf=DEFAULT_SCORE_THRESHOLD,
            iou=DEFAULT_IOU_THRESHOLD,
            device="cpu",
            verbose=False,
        )
        boxes = result.boxes.cpu().numpy()
        class_ids = boxes.cls.astype(np.int32)
        found[photo.name] = Detections(boxes.xyxy, boxes.conf, class_ids, names, result.orig_shape)
    return found


@pytest.mark.parametrize(
    ("name", "precision", "bar"), [("yolov8n", "fp32", FP32_PARITY), ("yolov8n_bf16", "bf16", BF16_PARITY)]
)
def test_yolov8n_is_still_itself(
    name: str,
    precision: Precision,
    bar: Bar,
    *,
    photos: list[Path],
    reference: dict[str, Detections],
    server: EmbeddedServer,
    serve_detector: Callable[[str], str],
) -> None:
    model = serve_detector(name)
    engine = server.engines()[network_name(model)]
    if engine.precision != precision:
        pytest.skip(f"this machine runs {precision} models in {engine.precision}: {engine.reason}")
    with Client(server.grpc_url, model=model, options=ClientOptions(timeout_seconds=300)) as client:
        served = {Path(str(result.source)).name: result.unwrap() for result in client.stream(photos)}
    report = compare(reference, served)
    print(f"{name}: {report.summary()}")
    verdict = report.judge(bar)
    assert verdict.outcome == "passed", "\n".join((report.summary(), *verdict.reasons))
