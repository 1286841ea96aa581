"""Real detectors, exported and served by the stand-ins, find what is in a photo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightline import Client
from sightline.contract import network_name
from sightline_server.engines import openvino_precisions
from sightline_server.launcher import EmbeddedServer

pytest.importorskip("ultralytics")


@pytest.mark.parametrize("name", ["yolov8n", "yolov8n_bf16", "yolo26n_foreign", "yolov8n_foreign"])
def test_the_people_and_the_bus(
    server: EmbeddedServer, serve_detector: Callable[[str], str], shared_data: Path, name: str
) -> None:
    bus = shared_data / "images" / "bus.jpg"
    with Client(server.grpc_url, model=serve_detector(name)) as client:
        (result,) = client.stream([bus])
    detections = result.unwrap()
    found = Counter(np.array(detections.class_names)[detections.class_ids].tolist())
    assert found["bus"] == 1
    # Four people; the quantised YOLO26 itself gives one of them no more than 0.21.
    assert found["person"] >= 3


def test_the_precision_that_runs_is_told(server: EmbeddedServer, serve_detector: Callable[[str], str]) -> None:
    wanted, plain = (server.engines()[network_name(serve_detector(name))] for name in ("yolov8n_bf16", "yolov8n"))
    assert (plain.engine, plain.precision, plain.reason) == ("openvino", "fp32", "")
    assert wanted.engine == "openvino"
    if "bf16" in openvino_precisions():
        assert (wanted.precision, wanted.reason) == ("bf16", "")
    else:
        assert (wanted.precision, wanted.reason) == ("fp32", "this CPU has no bf16")
