"""The served chain against Ultralytics' own predictions, on real photos: the reason to trust it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.client.conftest import Found, Labels, detections_of

from sightline import Client, ClientOptions, Detections
from sightline.contract import (
    DEFAULT_IMAGE_SIZE,
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_SCORE_THRESHOLD,
    ENCODED,
    SCORE_THRESHOLD,
    Precision,
    detection_outputs,
)
from sightline.headers import inspect_header
from sightline.parity import BF16_PARITY, FP32_PARITY, Bar, compare
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def reference(ultralytics_found: dict[Labels, Found]) -> Found:
    """What Ultralytics finds in them: what a higher threshold drops suppresses nothing that it keeps."""
    found = ultralytics_found["best class"]
    return {name: each.only(each.scores > DEFAULT_SCORE_THRESHOLD) for name, each in found.items()}


@pytest.mark.parametrize(
    ("name", "precision", "bar"), [("yolov8n", "fp32", FP32_PARITY), ("yolov8n_bf16", "bf16", BF16_PARITY)]
)
def test_yolov8n_is_still_itself(
    name: str,
    precision: Precision,
    bar: Bar,
    *,
    photos: list[Path],
    reference: Found,
    server: EmbeddedServer,
    serve_in: Callable[[str, str], str],
) -> None:
    model = serve_in(name, precision)
    with Client(server.grpc_url, model=model, options=ClientOptions(timeout_seconds=300)) as client:
        served = {Path(str(result.source)).name: result.unwrap() for result in client.stream(photos)}
    check(name, reference, served, bar)


def test_rectangles_are_those_of_predict(
    photos: list[Path], shared_data: Path, server: EmbeddedServer, serve_in: Callable[[str, str], str]
) -> None:
    """What Ultralytics does by default with one picture, although here they come several in a request."""
    model = serve_in("yolov8n_rect", "fp32")
    with Client(server.grpc_url, model=model, options=ClientOptions(timeout_seconds=300)) as client:
        results = list(client.stream(photos, batch_size=8))
    assert [Path(str(result.source)) for result in results] == photos
    served = {Path(str(result.source)).name: result.unwrap() for result in results}
    check(model, predict_with_rectangles(shared_data / "weights" / "yolov8n.pt", photos), served, FP32_PARITY)


def test_a_request_that_mixes_aspects_sees_the_square(
    photos: list[Path], server: EmbeddedServer, serve_in: Callable[[str, str], str]
) -> None:
    """One wide and one tall photo, sent together by a client that does not look: as the square network finds them."""
    square, rect = serve_in("yolov8n", "fp32"), serve_in("yolov8n_rect", "fp32")
    sizes_hw = [inspect_header(photo.read_bytes()).image_size_hw for photo in photos]
    wide, tall = (photos[sizes_hw.index(size_hw)] for size_hw in ((480, 640), (640, 480)))
    mixed = ask_together(server, rect, [wide, tall])
    with Client(server.grpc_url, model=square) as client:
        alone = [client.detect(photo) for photo in (wide, tall)]
    for came, wanted in zip(mixed, alone, strict=True):
        assert len(wanted.scores) > 0
        assert came.class_ids.tolist() == wanted.class_ids.tolist()
        np.testing.assert_allclose(came.boxes_xyxy, wanted.boxes_xyxy, atol=0.1)
        np.testing.assert_allclose(came.scores, wanted.scores, atol=1e-3)


def ask_together(server: EmbeddedServer, model: str, photos: list[Path]) -> list[Detections]:
    """What a model answers to one request of these photos."""
    files = [photo.read_bytes() for photo in photos]
    padded = np.zeros((len(files), max(map(len, files))), np.uint8)
    for row, data in zip(padded, files, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    encoded = triton.InferInput(ENCODED.name, list(padded.shape), ENCODED.datatype)
    encoded.set_data_from_numpy(padded)
    threshold = triton.InferInput(SCORE_THRESHOLD.name, [len(files), 1], SCORE_THRESHOLD.datatype)
    threshold.set_data_from_numpy(np.full((len(files), 1), DEFAULT_SCORE_THRESHOLD, np.float32))
    with triton.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer(model, [encoded, threshold])
    counts, boxes, scores, classes = (answer.as_numpy(spec.name) for spec in detection_outputs(1))
    names = tuple(map(str, range(80)))
    return [
        Detections(
            boxes[row, :count], scores[row, :count], classes[row, :count], names, inspect_header(data).image_size_hw
        )
        for row, (count, data) in enumerate(zip(counts[:, 0].tolist(), files, strict=True))
    ]


def predict_with_rectangles(weights: Path, photos: list[Path]) -> Found:
    from ultralytics.models import YOLO

    model: Any = YOLO(str(weights))
    names = tuple(model.names[index] for index in range(len(model.names)))
    options = {"imgsz": DEFAULT_IMAGE_SIZE, "rect": True, "device": "cpu", "verbose": False}
    options |= {"conf": DEFAULT_SCORE_THRESHOLD, "iou": DEFAULT_IOU_THRESHOLD}
    found = {}
    for photo in photos:
        [result] = model.predict(str(photo), **options)
        found[photo.name] = detections_of(result.boxes.data, names, result.orig_shape)
    return found


def check(name: str, reference: Found, served: Found, bar: Bar) -> None:
    report = compare(reference, served)
    print(f"{name}: {report.summary()}")
    verdict = report.judge(bar)
    assert verdict.outcome == "passed", "\n".join((report.summary(), *verdict.reasons))
