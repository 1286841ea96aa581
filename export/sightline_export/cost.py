"""What a network costs: its parameters, and the arithmetic of one picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from .session import Session

_WEIGHT_POSITION = {
    "Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "QLinearConv": 3,
    "Gemm": 1, "MatMul": 1, "MatMulInteger": 1, "QLinearMatMul": 3,
}  # fmt: skip
"""Operators that multiply, and which of their inputs holds the weights."""
_LEARNT = {**dict.fromkeys(_WEIGHT_POSITION, 9), "BatchNormalization": 5, "LayerNormalization": 3, "PRelu": 2}
"""Operators with parameters, and how many of their first inputs may be some."""
_SHAPE = "cost_shape_of_"


@dataclass(frozen=True)
class Cost:
    """What a network costs.

    Attributes:
        parameters: numbers that training found; batch norms that were folded into convolutions are not among them.
        flops: floating-point operations for one picture in convolutions and matrix products, where a multiplication
            with its addition counts as two.
    """

    parameters: int
    flops: int

    def __str__(self) -> str:
        return f"{self.parameters / 1e6:.1f} M parameters, {self.flops / 1e9:.1f} GFLOPs for a picture"


def network_cost(model: onnx.ModelProto, picture: npt.NDArray[np.float32]) -> Cost:
    """Count on a network as it runs, so that shapes that depend on the picture are counted as they are.

    Args:
        model: float32 [N, 3, H, W] to raw predictions.
        picture: float32 [1, 3, H, W].

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    alone = _without_loop(model)
    return Cost(parameters=_parameters(alone.graph), flops=_flops(alone, picture))


def _without_loop(model: onnx.ModelProto) -> onnx.ModelProto:
    """The network inside the loop over pictures, where there is one: it takes a picture without a batch axis."""
    nodes = model.graph.node
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    if len(nodes) == 1 and nodes[0].op_type == "Scan":
        alone.graph.CopyFrom(helper.get_node_attr_value(nodes[0], "body"))
    return alone


def _parameters(graph: onnx.GraphProto) -> int:
    """Sizes of the constants that operators with parameters take, directly or through casts and scales."""
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}
    sizes |= {node.output[0]: _constant_size(node) for node in graph.node if node.op_type == "Constant"}
    makers = {node.output[0]: node for node in graph.node if node.output and node.op_type != "Constant"}
    learnt: set[str] = set()
    for node in graph.node:
        for name in node.input[: _LEARNT.get(node.op_type, 0)]:
            learnt.add(_origin(name, makers, sizes))
    return sum(sizes.get(name, 0) for name in learnt)


def _constant_size(node: onnx.NodeProto) -> int:
    value = helper.get_node_attr_value(node, node.attribute[0].name)
    return math.prod(value.dims) if isinstance(value, onnx.TensorProto) else int(np.size(value))


def _origin(name: str, makers: dict[str, onnx.NodeProto], sizes: dict[str, int]) -> str:
    """The constant behind a chain of operators whose other inputs are constants too, such as a scale; else the name."""
    while name in makers and makers[name].input:
        node = makers[name]
        others = (_origin(other, makers, sizes) for other in node.input[1:] if other)
        if not all(other in sizes for other in others):
            break
        name = node.input[0]
    return name


def _flops(model: onnx.ModelProto, picture: npt.NDArray[np.float32]) -> int:
    multiplying = [node for node in model.graph.node if node.op_type in _WEIGHT_POSITION]
    if not multiplying:
        return 0
    watched = sorted({name for node in multiplying for name in _operands(node)})
    shapes = _shapes(model, watched, picture)
    return sum(_operations(node, shapes) for node in multiplying)


def _operands(node: onnx.NodeProto) -> Iterator[str]:
    """First factor, weights, product."""
    yield node.input[0]
    yield node.input[_WEIGHT_POSITION[node.op_type]]
    yield node.output[0]


def _operations(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    first, weights, product = (shapes[name] for name in _operands(node))
    if node.op_type == "ConvTranspose":  # weights [in, out / groups, height, width]
        return 2 * math.prod(first) * math.prod(weights[1:])
    if "Conv" in node.op_type:  # weights [out, in / groups, height, width]
        return 2 * math.prod(product) * math.prod(weights[1:])
    turned = node.op_type == "Gemm" and helper.get_node_attr_value(node, "transA") if _has(node, "transA") else False
    return 2 * math.prod(product) * first[-2 if turned else -1]


def _has(node: onnx.NodeProto, attribute: str) -> bool:
    return any(entry.name == attribute for entry in node.attribute)


def _shapes(model: onnx.ModelProto, names: list[str], picture: npt.NDArray[np.float32]) -> dict[str, tuple[int, ...]]:
    """Shapes of tensors as the network runs on a picture."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    graph = watched.graph
    graph.node.extend(helper.make_node("Shape", [name], [_SHAPE + name]) for name in names)
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(_SHAPE + name, onnx.TensorProto.INT64, [None]) for name in names)
    rank = len(graph.input[0].type.tensor_type.shape.dim)
    found = Session(watched).run([picture if rank == picture.ndim else picture[0]])
    return {name: tuple(int(side) for side in shape) for name, shape in zip(names, found, strict=True)}
