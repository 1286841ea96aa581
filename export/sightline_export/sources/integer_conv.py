"""Writes integer convolutions as float ones."""

from __future__ import annotations

from collections.abc import Iterable

import onnx
from onnx import TensorProto, helper

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.BFLOAT16)


def with_float_convolutions(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with `Conv` for `ConvInteger`, which ONNX Runtime up to 1.23 runs for uint8 weights only.

    A float convolution of `x - x_zero_point` with `w - w_zero_point` adds up the same whole numbers. FP32 holds them
    exactly up to 2**24 and rounds beyond; quantisation itself is far coarser. An integer convolution whose sums go
    anywhere but into casts to a float type, where whole numbers may be needed, stays.
    """
    graph = model.graph
    nodes: list[onnx.NodeProto] = []
    floating: set[str] = set()
    for node in graph.node:
        if node.op_type == "ConvInteger" and _only_becomes_float(graph, node.output[0]):
            nodes.extend(_float_convolution(node))
            floating.add(node.output[0])
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    for value in graph.value_info:
        if value.name in floating:
            value.type.tensor_type.elem_type = TensorProto.FLOAT
    return model


def _only_becomes_float(graph: onnx.GraphProto, name: str) -> bool:
    if any(output.name == name for output in graph.output):
        return False
    return all(
        node.op_type == "Cast" and helper.get_node_attr_value(node, "to") in _FLOATS
        for node in graph.node
        if name in node.input
    )


def _float_convolution(node: onnx.NodeProto) -> Iterable[onnx.NodeProto]:
    """The nodes that take the place of one `ConvInteger`; the sums keep their name."""
    x, w, x_zero_point, w_zero_point = (*node.input, "", "")[:4]
    prefix = f"{node.output[0]}_float"
    x_nodes = _centred(x, x_zero_point, f"{prefix}_x")
    # A zero point per filter belongs to the first axis. Reversed, that axis is the last, along which values are
    # broadcast whatever the number of axes is; weights are constant, so engines compute this once.
    turned = helper.make_node("Transpose", [w], [f"{prefix}_w_turned"])
    w_nodes = _centred(turned.output[0], w_zero_point, f"{prefix}_w")
    back = helper.make_node("Transpose", [w_nodes[-1].output[0]], [f"{prefix}_w_back"])
    convolution = helper.make_node("Conv", [x_nodes[-1].output[0], back.output[0]], list(node.output), name=node.name)
    convolution.attribute.extend(node.attribute)
    return [*x_nodes, turned, *w_nodes, back, convolution]


def _centred(name: str, zero_point: str, prefix: str) -> list[onnx.NodeProto]:
    """Nodes of which the last gives `name - zero_point` in FP32."""
    wide = helper.make_node("Cast", [name], [f"{prefix}_wide"], to=TensorProto.FLOAT)
    if not zero_point:
        return [wide]
    zero = helper.make_node("Cast", [zero_point], [f"{prefix}_zero_point"], to=TensorProto.FLOAT)
    return [wide, zero, helper.make_node("Sub", [wide.output[0], zero.output[0]], [f"{prefix}_centred"])]
