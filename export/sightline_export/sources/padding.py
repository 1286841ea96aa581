"""Keeps zeros around a maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

_NEARLY_ZERO = {TensorProto.FLOAT: 1e-30, TensorProto.DOUBLE: 1e-30, TensorProto.FLOAT16: 1e-7}


def with_kept_padding(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with a padding of almost zero in front of `MaxPool`, where it is zero.

    ONNX Runtime (1.17 to 1.31 at least; its optimiser "Pad_Fusion") makes a padding of exactly zero a part of the
    `MaxPool` behind it, whose own padding counts as nothing at all: where all the values in reach are negative, zero
    is the maximum of the one and not of the other. YOLOv3-tiny has such a place.
    """
    constants = _constants(model.graph)
    pooled = {node.input[0] for node in model.graph.node if node.op_type == "MaxPool"}
    for index, node in enumerate(model.graph.node):
        if node.op_type != "Pad" or node.output[0] not in pooled or _mode(node) != "constant":
            continue
        value = _padded_with(node, constants)
        if value is None or value.any() or (kind := helper.np_dtype_to_tensor_dtype(value.dtype)) not in _NEARLY_ZERO:
            continue
        tensor = numpy_helper.from_array(np.array(_NEARLY_ZERO[kind], dtype=value.dtype), f"nearly_zero_{index}")
        model.graph.initializer.append(tensor)
        inputs = (*node.input, "", "")
        del node.input[:]
        node.input.extend((*inputs[:2], tensor.name, *inputs[3:4]))
        if not node.input[-1]:
            del node.input[-1]
    return model


def _constants(graph: onnx.GraphProto) -> dict[str, onnx.TensorProto]:
    of_nodes = {
        node.output[0]: helper.get_node_attr_value(node, "value")
        for node in graph.node
        if node.op_type == "Constant" and any(attribute.name == "value" for attribute in node.attribute)
    }
    return {**of_nodes, **{tensor.name: tensor for tensor in graph.initializer}}


def _mode(node: onnx.NodeProto) -> str:
    modes = [attribute.s.decode() for attribute in node.attribute if attribute.name == "mode"]
    return modes[0] if modes else "constant"


def _padded_with(node: onnx.NodeProto, constants: dict[str, onnx.TensorProto]) -> npt.NDArray[Any] | None:
    """The value, or None where it is only known when the network runs."""
    if len(node.input) < 3 or not node.input[2]:
        return np.zeros((), dtype=np.float32)
    tensor = constants.get(node.input[2])
    return None if tensor is None else numpy_helper.to_array(tensor)
