"""A detector whose answer is known: one object, as large as the image, whose score is the picture's mean brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.helper as oh
from onnx import TensorProto, numpy_helper

from sightline import contract
from sightline.contract import SCORE_FLOOR, Precision, TensorSpec
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export.config import WARMUP_SHAPE, network_config, render

IMAGE_SIZE = contract.MIN_IMAGE_SIZE
LETTERBOX = Preprocessing.letterbox(IMAGE_SIZE)
SLOTS = 4
_TYPES = {
    "UINT8": TensorProto.UINT8,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP32": TensorProto.FLOAT,
}


def detector_info(precision: Precision = "fp32") -> DetectorInfo:
    return DetectorInfo(
        class_names=("bright",), preprocessing=LETTERBOX, max_detections=SLOTS, precision=precision, source="tiny"
    )


def inputs(count: int, seed: int = 0) -> dict[str, npt.NDArray[Any]]:
    """Plain pictures of random colours, shapes and thresholds, for `count` images."""
    rng = np.random.default_rng(seed)
    size = IMAGE_SIZE
    return {
        "images": rng.integers(0, 255, (count, 1, 1, 3)).astype(np.uint8) * np.ones((1, size, size, 1), np.uint8),
        "original_shape": rng.integers(1, 4000, (count, 3)).astype(np.int64),
        "score_threshold": rng.random((count, 1)).astype(np.float32),
    }


def expected(
    images: npt.NDArray[np.uint8], shapes: npt.NDArray[np.int64], thresholds: npt.NDArray[np.float32]
) -> dict[str, npt.NDArray[Any]]:
    """The four outputs, computed by numpy."""
    scores = np.zeros((len(images), SLOTS), np.float32)
    scores[:, 0] = images.reshape(len(images), -1).mean(axis=1, dtype=np.float64) / 255
    kept = scores[:, :1] >= np.where(thresholds >= SCORE_FLOOR, thresholds, np.float32(SCORE_FLOOR))
    boxes = np.zeros((len(images), SLOTS, 4), np.float32)
    boxes[:, 0, 2], boxes[:, 0, 3] = shapes[:, 1], shapes[:, 0]
    classes = np.full((len(images), SLOTS), contract.PADDING_CLASS, np.int32)
    classes[:, 0] = np.where(kept[:, 0], 0, contract.PADDING_CLASS)
    return {
        "num_detections": kept.astype(np.int32),
        "boxes": boxes * kept[:, :, None],
        "scores": scores * kept,
        "classes": classes,
    }


def graph(*, extra_nodes: list[onnx.NodeProto] | None = None, brightness: str = "brightness") -> onnx.ModelProto:
    """The detector as ONNX.

    Args:
        extra_nodes: nodes that make another tensor from `brightness`, [N] from 0 to 1.
        brightness: name of the tensor that is the score.
    """
    first = np.zeros((1, SLOTS), np.float32)
    first[0, 0] = 1
    constants = {
        "floor": np.float32(SCORE_FLOOR),
        "white": np.float32(255),
        "column": np.array([1], np.int64),
        "swapped": np.array([1, 0], np.int64),
        "first": first,
        "first_box": first[:, :, None],
        "no_class": np.int32(contract.PADDING_CLASS),
        "a_class": np.int32(0),
        "is_first": first > 0,
        "pixels": np.array([1, 2, 3], np.int64),
    }
    nodes = [
        oh.make_node("Cast", ["images"], ["float_images"], to=TensorProto.FLOAT),
        oh.make_node("ReduceMean", ["float_images", "pixels"], ["grey"], keepdims=0),
        oh.make_node("Div", ["grey", "white"], ["brightness"]),
        *(extra_nodes or []),
        oh.make_node("Unsqueeze", [brightness, "column"], ["score"]),
        oh.make_node("GreaterOrEqual", ["score_threshold", "floor"], ["usable"]),
        oh.make_node("Where", ["usable", "score_threshold", "floor"], ["threshold"]),
        oh.make_node("GreaterOrEqual", ["score", "threshold"], ["kept"]),
        oh.make_node("Cast", ["kept"], ["num_detections"], to=TensorProto.INT32),
        oh.make_node("Cast", ["kept"], ["weight"], to=TensorProto.FLOAT),
        oh.make_node("Mul", ["score", "weight"], ["kept_score"]),
        oh.make_node("Mul", ["kept_score", "first"], ["scores"]),
        oh.make_node("Gather", ["original_shape", "swapped"], ["width_height"], axis=1),
        oh.make_node("Cast", ["width_height"], ["corner"], to=TensorProto.FLOAT),
        oh.make_node("Mul", ["corner", "weight"], ["kept_corner"]),
        oh.make_node("Sub", ["kept_corner", "kept_corner"], ["origin"]),
        oh.make_node("Concat", ["origin", "kept_corner"], ["box"], axis=1),
        oh.make_node("Unsqueeze", ["box", "column"], ["one_box"]),
        oh.make_node("Mul", ["one_box", "first_box"], ["boxes"]),
        oh.make_node("And", ["kept", "is_first"], ["filled"]),
        oh.make_node("Where", ["filled", "a_class", "no_class"], ["classes"]),
    ]
    body = oh.make_graph(
        nodes,
        "tiny",
        [_value(spec) for spec in LETTERBOX.network_inputs],
        [_value(spec) for spec in contract.detection_outputs(SLOTS)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [oh.make_opsetid("", 18), oh.make_opsetid("com.microsoft", 1)]
    return oh.make_model(body, opset_imports=opsets, ir_version=10)


def unknown_to_openvino(then: list[onnx.NodeProto] | None = None, *, brightness: str = "roundabout") -> onnx.ModelProto:
    """The same by way of an operator that only ONNX Runtime has: the inverse of the inverse.

    Args:
        then: nodes that make another tensor from `roundabout`, [N] from 0 to 1.
        brightness: name of the tensor that is the score.
    """
    nodes = [
        oh.make_node("Constant", [], ["both"], value_ints=[1, 2]),
        oh.make_node("Unsqueeze", ["brightness", "both"], ["as_matrix"]),
        oh.make_node("Inverse", ["as_matrix"], ["inverted"], domain="com.microsoft"),
        oh.make_node("Reciprocal", ["inverted"], ["again"]),
        oh.make_node("Squeeze", ["again", "both"], ["roundabout"]),
    ]
    return graph(extra_nodes=[*nodes, *(then or [])], brightness=brightness)


def failing_above(rows: int) -> onnx.ModelProto:
    """The same, failing at every batch with an image of `rows` rows or more.

    It runs in ONNX Runtime, since OpenVINO reads beyond the end instead of failing, and reshapes one value to as many
    as the highest image has `rows`, and one: that fails unless it is one.
    """
    nodes = [
        oh.make_node("Constant", [], ["row"], value_ints=[0]),
        oh.make_node("Gather", ["original_shape", "row"], ["heights"], axis=1),
        oh.make_node("ReduceMax", ["heights"], ["highest"], keepdims=0),
        oh.make_node("Constant", [], ["limit"], value_int=rows),
        oh.make_node("Div", ["highest", "limit"], ["too_high"]),
        oh.make_node("Constant", [], ["only"], value_ints=[1]),
        oh.make_node("Add", ["only", "too_high"], ["shape"]),
        oh.make_node("Reshape", ["only", "shape"], ["one"]),
        oh.make_node("Cast", ["one"], ["factor"], to=TensorProto.FLOAT),
        oh.make_node("Mul", ["roundabout", "factor"], ["checked"]),
    ]
    return unknown_to_openvino(nodes, brightness="checked")


def write_network(
    repository: Path, detector: str, model: onnx.ModelProto | bytes, *, precision: Precision = "fp32"
) -> str:
    """Write `DETECTOR_net` into a repository and return that name."""
    config = network_config(detector=detector, info=detector_info(precision))
    folder = repository / config.name
    (folder / contract.WARMUP_FOLDER).mkdir(parents=True)
    (folder / "1").mkdir()
    np.array([480, IMAGE_SIZE, 3], np.int64).tofile(folder / contract.WARMUP_FOLDER / WARMUP_SHAPE)
    data = model if isinstance(model, bytes) else model.SerializeToString()
    (folder / "1" / contract.ONNX_FILE).write_bytes(data)
    (folder / "config.pbtxt").write_text(render(config), encoding="utf-8")
    return str(config.name)


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    return oh.make_tensor_value_info(spec.name, _TYPES[spec.datatype], ["N", *spec.dims])
