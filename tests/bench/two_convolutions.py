"""A graph whose arithmetic is known by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, CHANNELS = 128, 32
FLOPS = {
    # Multiplications and additions: outputs x inputs of each.
    "network_first": 2 * (CHANNELS * SIDE * SIDE) * (3 * 3 * 3),
    "network_second": 2 * (CHANNELS * SIDE * SIDE) * (CHANNELS * 3 * 3),
}
INPUT = "images"


def write_two_convolutions(file: Path) -> Path:
    """[N, 3, SIDE, SIDE] through two convolutions, the first with an activation, the second with a bias."""
    generator = np.random.default_rng(2)
    weights = {
        "first_weight": generator.normal(0, 0.1, (CHANNELS, 3, 3, 3)),
        "second_weight": generator.normal(0, 0.1, (CHANNELS, CHANNELS, 3, 3)),
        "second_bias": generator.normal(0, 0.1, CHANNELS),
    }
    nodes = [
        helper.make_node("Conv", [INPUT, "first_weight"], ["network_one"], "network_first", pads=[1] * 4),
        helper.make_node("Relu", ["network_one"], ["network_two"], "network_active"),
        helper.make_node(
            "Conv", ["network_two", "second_weight", "second_bias"], ["network_three"], "network_second", pads=[1] * 4
        ),
        helper.make_node("Transpose", ["network_three"], ["boxes"], "back_turned", perm=[0, 2, 3, 1]),
    ]
    graph = helper.make_graph(
        nodes,
        "two convolutions",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["N", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["N", SIDE, SIDE, CHANNELS])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), file)
    return file


def write_rows(file: Path) -> Path:
    """Three rows for it."""
    rows = np.random.default_rng(4).random((3, 3, SIDE, SIDE), dtype=np.float32)
    np.savez(file, allow_pickle=False, **{INPUT: rows})
    return file
