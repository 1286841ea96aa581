"""The demo network and its ONNX file: layout, ranges, free batch, and agreement of the two."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch.nn.functional import avg_pool2d

from sightline_export.demo.network import HALVING, DemoDetector, places
from sightline_export.demo.objects import CLASS_NAMES
from sightline_export.demo.raw_onnx import write_raw_onnx

CLASSES = len(CLASS_NAMES)


@pytest.fixture(scope="module")
def network() -> DemoDetector:
    torch.manual_seed(0)
    return DemoDetector(CLASSES).eval()


@pytest.fixture(scope="module")
def raw_path(network: DemoDetector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "raw.onnx"
    write_raw_onnx(network, path, class_names=CLASS_NAMES)
    return path


def test_places_are_the_middles_of_the_cells() -> None:
    centres, strides = places((64, 32))
    assert centres.shape == (8 * 4 + 4 * 2 + 2 * 1, 2)
    assert centres[0].tolist() == [4, 4]
    assert centres[1].tolist() == [12, 4]
    assert centres[-1].tolist() == [16, 48]
    assert strides.flatten().tolist() == [8] * 32 + [16] * 8 + [32] * 2


@pytest.mark.parametrize(("height", "width"), [(640, 640), (320, 320), (64, 128)])
def test_the_output_is_centre_boxes_over_class_scores(network: DemoDetector, height: int, width: int) -> None:
    with torch.no_grad():
        output = network(torch.rand(2, 3, height, width))
    assert output.shape == (2, 4 + CLASSES, height * width * 21 // 4096)
    assert output.dtype == torch.float32
    assert (output[:, 2:4] >= 0).all()
    assert ((output[:, 4:] > 0) & (output[:, 4:] < 1)).all()


def test_corners_and_centres_are_the_same_boxes(network: DemoDetector) -> None:
    images = torch.rand(1, 3, 128, 128)
    with torch.no_grad():
        corners, output = HALVING * network.raw(avg_pool2d(images, HALVING)).boxes_xyxy, network(images)
    middle, size = output[:, :2], output[:, 2:4]
    assert torch.allclose(torch.cat((middle - size / 2, middle + size / 2), 1).transpose(1, 2), corners, atol=1e-3)


def test_it_is_small(network: DemoDetector, raw_path: Path) -> None:
    assert sum(weight.numel() for weight in network.parameters()) < 1_500_000
    assert raw_path.stat().st_size < 4_000_000


@pytest.mark.parametrize("batch", [1, 3])
def test_onnx_agrees_with_torch_at_any_batch(network: DemoDetector, raw_path: Path, batch: int) -> None:
    images = np.random.default_rng(batch).random((batch, 3, 640, 640), dtype=np.float32)
    with torch.no_grad():
        expected = network(torch.from_numpy(images)).numpy()
    (output,) = onnxruntime.InferenceSession(raw_path).run(None, {"images": images})
    assert np.abs(output[:, :4] - expected[:, :4]).max() < 0.01
    assert np.abs(output[:, 4:] - expected[:, 4:]).max() < 1e-4


def test_the_onnx_file_says_what_it_is(raw_path: Path) -> None:
    model = onnx.load(raw_path)
    assert model.ir_version <= 10
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert [value.name for value in (*model.graph.input, *model.graph.output)] == ["images", "output0"]
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ast.literal_eval(metadata["names"]) == dict(enumerate(CLASS_NAMES))
    assert metadata["stride"] == "64"
