"""Parameters and operations of networks, against sums done by hand and against published figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline_export.cost import Cost, network_cost
from sightline_export.graph.scan import scan_over_images
from sightline_export.options import ExportOptions
from sightline_export.sources import load

SIDE = 32
PICTURE = np.zeros((1, 3, SIDE, SIDE), np.float32)


def network(nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]]) -> onnx.ModelProto:
    """From `picture` to `output`; weights are ones."""
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [None] * 4)],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def convolution(kind: str = "Conv", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, ["picture", "weights", "bias"], ["output"], **attributes)


BY_HAND = {
    "convolution": (
        network([convolution(strides=[2, 2], pads=[1, 1, 1, 1])], {"weights": (8, 3, 3, 3), "bias": (8,)}),
        Cost(parameters=8 * 3 * 9 + 8, flops=2 * 8 * 16 * 16 * 3 * 9),
    ),
    "in groups": (
        network([convolution(group=3)], {"weights": (6, 1, 1, 1), "bias": (6,)}),
        Cost(parameters=6 + 6, flops=2 * 6 * SIDE * SIDE),
    ),
    "transposed": (
        network([convolution("ConvTranspose", strides=[2, 2])], {"weights": (3, 4, 2, 2), "bias": (4,)}),
        Cost(parameters=3 * 4 * 4 + 4, flops=2 * 3 * SIDE * SIDE * 4 * 4),
    ),
    "product of activations": (
        network([helper.make_node("MatMul", ["picture", "picture"], ["output"])], {}),
        Cost(parameters=0, flops=2 * 3 * SIDE**3),
    ),
    "weights behind a scale": (
        network(
            [helper.make_node("Mul", ["stored", "scale"], ["weights"]), convolution()],
            {"stored": (5, 3, 1, 1), "scale": (1,), "bias": (5,)},
        ),
        Cost(parameters=5 * 3 + 5, flops=2 * 5 * SIDE * SIDE * 3),
    ),
    "nothing learnt": (network([helper.make_node("Relu", ["picture"], ["output"])], {}), Cost(0, 0)),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_sums_by_hand(name: str) -> None:
    model, cost = BY_HAND[name]
    assert network_cost(model, PICTURE) == cost


def test_a_network_in_a_loop_costs_the_same() -> None:
    model, cost = BY_HAND["convolution"]
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 8, 16, 16]))
    assert network_cost(scan_over_images(model), PICTURE) == cost


def test_published_figures(shared_data: Path) -> None:
    """Ultralytics gives 3.2 M and 8.7 GFLOPs for YOLOv8n at 640 pixels, 2.4 M and 5.4 for the NMS-free YOLO26n."""
    picture = np.zeros((1, 3, 640, 640), np.float32)
    for file in ("weights/yolov8n.pt", "onnx/yolov8n_int8_qdq_opset11.onnx"):
        cost = network_cost(load(shared_data / file, ExportOptions()).model, picture)
        assert str(cost) == "3.2 M parameters, 8.7 GFLOPs for a picture"
    integer = network_cost(load(shared_data / "onnx" / "yolo26n_int8_dynamic_e2e.onnx", ExportOptions()).model, picture)
    assert integer.parameters == pytest.approx(2.4e6, rel=0.02)
    assert integer.flops == pytest.approx(5.4e9, rel=0.02)
