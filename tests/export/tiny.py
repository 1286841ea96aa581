"""Small graphs that answer every picture nearly alike, to test the exporter with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

TINY_SIZE = 320
GRID_CANDIDATES = 21 * (TINY_SIZE // 32) ** 2
"""Cells of the grids of 8, 16 and 32 pixels in a picture of that size."""


def read_rgb(file: Path) -> npt.NDArray[np.uint8]:
    """A photograph as (height, width, 3), RGB."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    return picture.astype(np.uint8)


def prediction(head: str, *, classes: int, candidates: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """A plausible raw output of one image, in the layout of `head`."""
    generator = np.random.default_rng(seed)
    centre = generator.uniform(20, 300, (candidates, 2))
    size = generator.uniform(10, 120, (candidates, 2))
    scores = generator.uniform(0, 1, (candidates, classes)) ** 6
    best = np.sort(scores.max(axis=1, keepdims=True), axis=0)[::-1]
    class_ids = generator.integers(0, classes, (candidates, 1))
    objectness = generator.uniform(0, 1, (candidates, 1))
    columns = {
        "anchors_last": [centre, size, scores],
        "anchors_first": [centre, size, objectness, scores],
        "end_to_end": [centre - size / 2, centre + size / 2, best, class_ids],
        "grid": [
            generator.uniform(-1, 2, (candidates, 2)),
            generator.uniform(0, 2, (candidates, 2)),
            objectness,
            scores,
        ],
        "queries": [centre / TINY_SIZE, size / TINY_SIZE, scores],
        "ranked_queries": [centre / TINY_SIZE, size / TINY_SIZE, best, class_ids],
    }
    output: npt.NDArray[np.float32] = np.hstack(columns[head]).astype(np.float32)
    return output.T if head == "anchors_last" else output


def tiny_model(
    output: npt.NDArray[np.float32],
    *,
    batch: int | str = "N",
    picture_dims: tuple[int | str, ...] = (3, TINY_SIZE, TINY_SIZE),
    picture_type: int = TensorProto.FLOAT,
    opset: int = 18,
    metadata: dict[str, str] | None = None,
    extra_output: tuple[int, ...] | None = None,
) -> onnx.ModelProto:
    """A network that answers every picture with `output`, and with zeros of the shape `extra_output` beside it.

    The brighter the picture, the smaller is every number, by 2 % at most: a network that is blind is refused.

    Where `batch` is a number it is part of a Reshape's constant, so that the graph takes no other batch.
    """
    rows = batch if isinstance(batch, int) else -1
    weights: dict[str, npt.NDArray[Any]] = {
        "pattern": output[None],
        "slope": np.array(-0.02, dtype=np.float32),
        "one": np.array(1, dtype=np.float32),
        "rows": np.array([rows, 1, 1], dtype=np.int64),
        "first": np.array([0], dtype=np.int64),
        "second": np.array([1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["picture"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["pixels"], ["brightness"]),
        helper.make_node("Slice", ["brightness", "first", "second", "second"], ["red"]),
        helper.make_node("Reshape", ["red", "rows"], ["per_image"]),
        # From 0.98 to 1, whatever the range of the pixels is.
        helper.make_node("Abs", ["per_image"], ["level"]),
        helper.make_node("Softsign", ["level"], ["bounded"]),
        helper.make_node("Mul", ["bounded", "slope"], ["change"]),
        helper.make_node("Add", ["change", "one"], ["factor"]),
        helper.make_node("Mul", ["factor", "pattern"], ["wide"]),
        helper.make_node("Cast", ["wide"], ["prediction"], to=picture_type),
    ]
    values = [helper.make_tensor_value_info("prediction", picture_type, [batch, *output.shape])]
    if extra_output is not None:
        weights["extra_zeros"] = np.zeros(extra_output, dtype=np.float32)
        nodes.append(helper.make_node("Identity", ["extra_zeros"], ["extra"]))
        values.append(helper.make_tensor_value_info("extra", TensorProto.FLOAT, extra_output))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("picture", picture_type, [batch, *picture_dims])],
        values,
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    helper.set_model_props(model, metadata or {})
    return model
