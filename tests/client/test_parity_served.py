"""The served chain against Ultralytics' own predictions, on real photos: the reason to trust it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import Client, ClientOptions, Detections
from sightline.contract import DEFAULT_IOU_THRESHOLD, DEFAULT_SCORE_THRESHOLD, Precision
from sightline.parity import BF16_PARITY, FP32_PARITY, Bar, compare
from sightline_server.launcher import EmbeddedServer


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


@pytest.mark.parametrize(("precision", "bar"), [("fp32", FP32_PARITY), ("bf16", BF16_PARITY)])
def test_yolov8n_is_still_itself(
    precision: Precision,
    bar: Bar,
    *,
    photos: list[Path],
    reference: dict[str, Detections],
    shared_data: Path,
    repository: Path,
    server: EmbeddedServer,
    load_model: Callable[[str], None],
) -> None:
    from sightline_export.exporter import export
    from sightline_export.options import ExportOptions

    name = f"parity_{precision}"
    weights = shared_data / "weights" / "yolov8n.pt"
    export(weights, repository=repository, name=name, options=ExportOptions(precision=precision))
    load_model(name)
    with Client(server.grpc_url, model=name, options=ClientOptions(timeout_seconds=120)) as client:
        served = {Path(str(result.source)).name: result.unwrap() for result in client.stream(photos)}
    report = compare(reference, served)
    verdict = report.judge(bar)
    assert verdict.outcome == "passed", f"{report.summary()}\n" + "\n".join(verdict.reasons)
    print(f"{precision}: {report.summary()}")
