"""The committed demo detector, measured through the served ensemble on pictures that its training never saw."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightline import Client, ClientOptions, EncodedImage
from sightline.detections import Detections
from sightline_export.demo.evaluate import Found, average_precision_50
from sightline_export.demo.objects import CLASS_NAMES
from sightline_export.demo.samples import held_out_set
from sightline_server.launcher import EmbeddedServer

CHECKOUT = Path(__file__).resolve().parents[2]
PICTURES = 200


@pytest.fixture(scope="module")
def demo(repository: Path, load_model: Callable[[str], None]) -> str:
    for name in ("demo", "demo_net", "letterbox_640"):
        shutil.copytree(CHECKOUT / "model_repository" / name, repository / name, dirs_exist_ok=True)
    load_model("demo")
    return "demo"


def test_it_is_small_enough_to_be_committed() -> None:
    assert (CHECKOUT / "model_repository/demo_net/1/model.onnx").stat().st_size <= 8_000_000
    assert len(CLASS_NAMES) >= 5


@pytest.mark.timeout(600)
def test_its_average_precision_through_the_server(server: EmbeddedServer, demo: str) -> None:
    truths = list(held_out_set(count=PICTURES))
    images = [EncodedImage(str(number), truth.jpeg) for number, truth in enumerate(truths)]
    with Client(server.grpc_url, model=demo, options=ClientOptions(score_threshold=0.001)) as client:
        assert client.info.class_names == CLASS_NAMES
        found = {id(image.data): result.unwrap() for image, result in zip(images, client.stream(images), strict=True)}
    precisions = average_precision_50(truths, lambda jpeg: _found(found[id(jpeg)]))
    assert set(precisions) == set(CLASS_NAMES)
    assert np.mean(list(precisions.values())) >= 0.90, precisions


def _found(detections: Detections) -> Found:
    return Found(detections.boxes_xyxy, detections.scores, detections.class_ids.astype(np.int64))
