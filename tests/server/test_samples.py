"""What engines are tried on: whether it tells a wrong one from a right one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf import json_format
from onnx import numpy_helper

from sightline.contract import ONNX_FILE, PARAMETER_PREFIX, RECTANGLE, network_name
from sightline_export.config import parse
from sightline_server.drawn import draw_picture
from sightline_server.engines import Arrays, OnnxRuntimeEngine
from sightline_server.samples import SAMPLE_BATCH_SIZE, sample_inputs
from sightline_server.smoke_test import TOLERANCES, disagreement, with_noise

DEMO = Path(__file__).resolve().parents[2] / "model_repository" / network_name("demo")
BEFORE_A_BRANCH = "network_getitem_96"
"""A convolution of the demo detector, of which noise shows nothing."""


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    """As Triton hands it to a backend."""
    parsed = parse((DEMO / "config.pbtxt").read_text())
    given: dict[str, Any] = json.loads(json_format.MessageToJson(parsed, preserving_proto_field_name=True))
    return given


def broken_file(folder: Path) -> Path:
    """The demo detector with the sign turned in half of what one layer gives: an engine that adds up wrong."""
    model = onnx.load(DEMO / "1" / ONNX_FILE)
    (layer,) = (node for node in model.graph.node if node.output[0] == BEFORE_A_BRANCH)
    (stored,) = (tensor for tensor in model.graph.initializer if tensor.name == layer.input[1])
    weights = numpy_helper.to_array(stored).copy()
    weights[: len(weights) // 2] *= -1
    stored.CopyFrom(numpy_helper.from_array(weights, stored.name))
    onnx.save(model, folder / ONNX_FILE)
    return folder / ONNX_FILE


def test_a_wrong_layer_shows_in_drawn_pictures_and_not_in_noise(config: dict[str, Any], tmp_path: Path) -> None:
    right, wrong = (OnnxRuntimeEngine(file, threads=1) for file in (DEMO / "1" / ONNX_FILE, broken_file(tmp_path)))

    def judge(given: Arrays) -> str:
        tolerance = TOLERANCES["fp32"]
        expected, disturbed = (right.run(inputs) for inputs in (given, with_noise(given, tolerance.noise)))
        assert disagreement(expected, disturbed, right.run(given), tolerance) == ""
        return disagreement(expected, disturbed, wrong.run(given), tolerance)

    drawn = sample_inputs(config)
    noise = np.random.default_rng(20).integers(0, 100, drawn["images"].shape).astype(np.uint8)
    assert "differs from ONNX Runtime's" in judge(drawn)
    assert judge({**drawn, "images": noise}) == ""


def test_pictures_of_a_batch_differ_and_are_the_same_each_time(config: dict[str, Any]) -> None:
    given = sample_inputs(config, 5)["images"]
    assert given.shape == (5, 640, 640, 3)
    assert all(np.abs(given[n].astype(int) - given[n + 1]).mean() > 20 for n in range(4))
    np.testing.assert_array_equal(given[:SAMPLE_BATCH_SIZE], sample_inputs(config)["images"])


def test_every_guess_is_asked_for_whether_a_warm_up_says_so_or_not(config: dict[str, Any]) -> None:
    """The gate serves models without: a threshold at random would have both engines find nothing."""
    for given in (sample_inputs(config), sample_inputs({**config, "model_warmup": []})):
        assert given["score_threshold"].tolist() == [[0.0]] * SAMPLE_BATCH_SIZE
        assert given["original_shape"].tolist() == [[360, 480, 3]] * SAMPLE_BATCH_SIZE


def test_a_network_of_rectangles_sees_that_of_the_pictures(config: dict[str, Any]) -> None:
    """One pixel of a network is too little: engines cannot choose 300 of 21 candidates."""
    rectangle = {"name": RECTANGLE.name, "data_type": "TYPE_INT32", "dims": ["-1", "-1"]}
    parameters = {**config["parameters"], f"{PARAMETER_PREFIX}preprocessing": {"string_value": "rect_640_32"}}
    given = sample_inputs({**config, "input": [*config["input"], rectangle], "parameters": parameters})
    assert given[RECTANGLE.name].shape == (SAMPLE_BATCH_SIZE, 15, 20)


def test_what_varies_in_size_is_a_picture_too(config: dict[str, Any]) -> None:
    (before,) = (tensor for tensor in config["input"] if tensor["name"] == "images")
    changed = {**before, "data_type": "TYPE_FP32", "dims": ["-1", "-1", "3"]}
    given = sample_inputs({"input": [changed], "max_batch_size": 1})["images"]
    assert given.dtype == np.float32
    assert given.shape == (1, 640, 640, 3)
    assert given.max() > 200


def test_what_has_no_batch_axis_gets_none() -> None:
    inputs = [
        {"name": name, "data_type": "TYPE_FP32", "dims": dims} for name, dims in (("a", ["4"]), ("b", ["8", "8", "3"]))
    ]
    given = sample_inputs({"input": inputs, "max_batch_size": 0})
    assert {name: values.shape for name, values in given.items()} == {"a": (4,), "b": (8, 8, 3)}


@pytest.mark.parametrize("size_hw", [(1, 1), (32, 400), (640, 640)])
def test_a_picture_of_any_size_can_be_drawn(size_hw: tuple[int, int]) -> None:
    picture = draw_picture(size_hw, seed=3)
    assert picture.dtype == np.uint8
    assert picture.shape == (*size_hw, 3)
    np.testing.assert_array_equal(picture, draw_picture(size_hw, seed=3))
