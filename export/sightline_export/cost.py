"""What a network costs: its parameters, and the arithmetic of one picture."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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
_JOINED_POSITION = {
    "FusedConv": 1, "NhwcFusedConv": 1, "FusedMatMul": 1, "FusedGemm": 1,
    "QGemm": 3, "DynamicQuantizeMatMul": 1, "MatMulIntegerToFloat": 1,
}  # fmt: skip
"""The same for what ONNX Runtime makes of them."""
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


@dataclass(frozen=True)
class NodeCost:
    """The arithmetic of one operator.

    Attributes:
        name: the operator's own, which may be empty.
        kind: such as `Conv`.
        output: name of the tensor that it gives.
        flops: as in `Cost`, for the whole batch.
    """

    name: str
    kind: str
    output: str
    flops: int


def network_cost(model: onnx.ModelProto, picture: npt.NDArray[np.float32]) -> Cost:
    """Count on a network as it runs, so that shapes that depend on the picture are counted as they are.

    Args:
        model: float32 [N, 3, H, W] to raw predictions.
        picture: float32 [1, 3, H, W].

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    return Cost(parameters=parameter_count(model), flops=sum(node.flops for node in node_costs(model, [picture])))


def parameter_count(model: onnx.ModelProto) -> int:
    """Numbers that training found, as in `Cost`; of a served graph those of its network, as nothing else has any."""
    return sum(_parameters(graph) for graph in (model.graph, *(_body(node) for node in _loops(model))))


def node_costs(model: onnx.ModelProto, inputs: Sequence[npt.NDArray[Any]]) -> list[NodeCost]:
    """Every convolution and matrix product as the graph runs, those inside the loop over pictures too.

    Args:
        model: any graph.
        inputs: of the graph, in order.

    Raises:
        VerificationError: ONNX Runtime cannot run it.
    """
    multiplying = [node for node in model.graph.node if node.op_type in _WEIGHT_POSITION]
    loops = _loops(model)
    shapes = _shapes(model, sorted({name for node in multiplying for name in _operands(node)}), inputs)
    pictures = _values(model, [loop.input[0] for loop in loops], inputs)
    found = [NodeCost(node.name, node.op_type, node.output[0], _operations(node, shapes)) for node in multiplying]
    for loop, batch in zip(loops, pictures, strict=True):
        found += [inner for picture in batch for inner in node_costs(_alone(model, loop), [picture])]
    return found


def _loops(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The loops over pictures: what is inside takes a picture without a batch axis."""
    return [node for node in model.graph.node if node.op_type == "Scan"]


def _body(loop: onnx.NodeProto) -> onnx.GraphProto:
    body: onnx.GraphProto = helper.get_node_attr_value(loop, "body")
    return body


def _alone(model: onnx.ModelProto, loop: onnx.NodeProto) -> onnx.ModelProto:
    alone = onnx.ModelProto()
    alone.CopyFrom(model)
    alone.graph.CopyFrom(_body(loop))
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


def _operands(node: onnx.NodeProto) -> Iterator[str]:
    """First factor, weights, product."""
    yield node.input[0]
    yield node.input[_WEIGHT_POSITION[node.op_type]]
    yield node.output[0]


def _operations(node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> int:
    first, weights, product = (shapes[name] for name in _operands(node))
    turned = bool(_has(node, "transA") and helper.get_node_attr_value(node, "transA"))
    return operations(node.op_type, first, weights, product, first_is_turned=turned)


def weights_position(kind: str) -> int | None:
    """Which input of an operator of ONNX, or of ONNX Runtime, holds the weights; None where it does not multiply."""
    return _WEIGHT_POSITION.get(kind, _JOINED_POSITION.get(kind))


def operations(
    kind: str,
    first: Sequence[int],
    weights: Sequence[int],
    product: Sequence[int],
    *,
    first_is_turned: bool = False,
) -> int:
    """Floating-point operations of a convolution or matrix product from its shapes.

    Args:
        kind: of operator, as ONNX calls it: with `Conv` in its name, or else a matrix product.
        first: shape of the first factor, [N, in, ...] or [..., rows, inner].
        weights: [out, in / groups, height, width], of a `ConvTranspose` [in, out / groups, height, width]; of a matrix
            product it does not matter.
        product: shape of what comes out.
        first_is_turned: whether the first factor of a matrix product is [inner, rows].
    """
    if "ConvTranspose" in kind:
        return 2 * math.prod(first) * math.prod(weights[1:])
    if "Conv" in kind:
        return 2 * math.prod(product) * math.prod(weights[1:])
    return 2 * math.prod(product) * first[-2 if first_is_turned else -1]


def _has(node: onnx.NodeProto, attribute: str) -> bool:
    return any(entry.name == attribute for entry in node.attribute)


def _shapes(model: onnx.ModelProto, names: list[str], inputs: Sequence[npt.NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Shapes of tensors as the graph runs."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.node.extend(helper.make_node("Shape", [name], [_SHAPE + name]) for name in names)
    found = _values(watched, [_SHAPE + name for name in names], inputs)
    return {name: tuple(int(side) for side in shape) for name, shape in zip(names, found, strict=True)}


def _values(model: onnx.ModelProto, names: Sequence[str], inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
    """Tensors as the graph runs."""
    if not names:
        return []
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    del watched.graph.output[:]
    watched.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return Session(watched).run(inputs)
