"""The two ways to suppress, one on the CPU and one on a GPU, on real pictures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tests.server.letterbox_reference import Image, letterbox

from sightline.detector_info import DetectorInfo
from sightline_bench.gpu.captured import CapturedOnnxRuntime
from sightline_export.tensorrt.network import plan_graph, read_served
from sightline_server.cuda import CudaDevice
from sightline_server.engines import Arrays, OnnxRuntimeEngine
from sightline_server.onnx_gpu import OnnxRuntimeGpuEngine

pytestmark = pytest.mark.gpu

THRESHOLDS = (0.05, 0.25, 0.6)


def inputs_of(pictures: Mapping[str, bytes], score_threshold: float) -> Arrays:
    """The network's inputs for all pictures, as OpenCV makes them."""
    decoded = [_decoded(data) for data in pictures.values()]
    return {
        "images": np.stack([letterbox(picture, 640) for picture in decoded]),
        "original_shape": np.array([picture.shape for picture in decoded], np.int64),
        "score_threshold": np.full((len(decoded), 1), score_threshold, np.float32),
    }


def _decoded(data: bytes) -> Image:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def assert_alike(found: Arrays, wanted: Arrays) -> None:
    np.testing.assert_array_equal(found["num_detections"], wanted["num_detections"])
    assert wanted["num_detections"].sum() > 50, "there is something to suppress"
    np.testing.assert_array_equal(found["classes"], wanted["classes"])
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-3)
    np.testing.assert_allclose(found["boxes"], wanted["boxes"], atol=0.1)


@pytest.mark.usefixtures("cuda_onnxruntime")
@pytest.mark.parametrize("head", ["operator", "static"])
def test_heads_agree(
    served_graph: Path, info: DetectorInfo, pictures: Mapping[str, bytes], tmp_path: Path, head: str
) -> None:
    file = served_graph
    if head == "static":
        file = tmp_path / "static.onnx"
        onnx.save(plan_graph(read_served(served_graph), info, "fp32"), file)
    on_gpu, on_cpu = OnnxRuntimeGpuEngine(file, device=CudaDevice(0)), OnnxRuntimeEngine(served_graph, threads=2)
    for threshold in THRESHOLDS:
        given = inputs_of(pictures, threshold)
        assert_alike(on_gpu.run(given), on_cpu.run(given))


@pytest.mark.usefixtures("cuda_onnxruntime")
def test_a_captured_graph_finds_the_same(
    served_graph: Path, info: DetectorInfo, pictures: Mapping[str, bytes], tmp_path: Path
) -> None:
    file = tmp_path / "static.onnx"
    onnx.save(plan_graph(read_served(served_graph), info, "fp32"), file)
    device = CudaDevice(0)
    given = inputs_of(pictures, THRESHOLDS[1])
    wanted = OnnxRuntimeGpuEngine(file, device=device).run(given)
    captured = CapturedOnnxRuntime(file, device=device)
    captured.capture(given, wanted)
    for _ in range(4):
        assert_alike(captured.replay(), wanted)
