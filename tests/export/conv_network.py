"""A small network with convolutions, a split and a decoding, to change the precision of."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightline_export.pictures import draw_scene

SIZE, CLASSES = 320, 3
_CELLS = (SIZE // 32) ** 2
_ROWS = 4 + CLASSES


def conv_network() -> onnx.ModelProto:
    """Pictures to [N, 4 + CLASSES, cells]: three learnt layers, the middle one behind a Split, and a decoding."""
    generator = np.random.default_rng(3)
    weights = {
        "first_weight": generator.normal(0, 0.05, (16, 3, 32, 32)),
        "first_bias": generator.normal(0, 0.5, 16),
        "middle_weight": generator.normal(0, 0.5, (8, 8, 1, 1)),
        "last_weight": generator.normal(0, 0.5, (_ROWS, 16, 1, 1)),
        "scale": np.array([SIZE] * 4 + [1] * CLASSES).reshape(1, -1, 1),
    }
    initializers = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([0, _ROWS, _CELLS], np.int64), "rows"))
    nodes = [
        helper.make_node("Conv", ["picture", "first_weight", "first_bias"], ["first"], "first", strides=[32, 32]),
        helper.make_node("Sigmoid", ["first"], ["gate"], "gate"),
        helper.make_node("Mul", ["first", "gate"], ["active"], "active"),
        helper.make_node("Split", ["active"], ["left", "right"], "split", axis=1, num_outputs=2),
        helper.make_node("Conv", ["right", "middle_weight"], ["middle"], "middle"),
        helper.make_node("Concat", ["left", "middle"], ["joined"], "joined", axis=1),
        helper.make_node("Conv", ["joined", "last_weight"], ["last"], "last"),
        helper.make_node("Reshape", ["last", "rows"], ["flat"], "flat"),
        helper.make_node("Sigmoid", ["flat"], ["fractions"], "fractions"),
        helper.make_node("Mul", ["fractions", "scale"], ["prediction"], "prediction"),
    ]
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["N", 3, SIZE, SIZE])
    prediction = helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["N", _ROWS, _CELLS])
    graph = helper.make_graph(nodes, "conv", [picture], [prediction], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def write_scenes(folder: Path, count: int) -> Path:
    """A folder of so many different drawn pictures."""
    folder.mkdir(exist_ok=True)
    for seed in range(count):
        assert cv2.imwrite(str(folder / f"{seed:03}.jpg"), draw_scene((120, 160), seed=seed)[..., ::-1])
    return folder
