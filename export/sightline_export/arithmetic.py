"""With how many bits a network computes."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinear", "Integer")
"""How the names of ONNX operators on 8-bit numbers begin or end."""
INT8 = "int8"


def is_quantised(model: onnx.ModelProto) -> bool:
    """Whether a network holds numbers of 8 bits."""
    return any(node.op_type.startswith(_QUANTISED) or node.op_type.endswith(_QUANTISED) for node in _nodes(model))


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """Also those inside loops."""
    graphs = [model.graph]
    while graphs:
        for node in graphs.pop().node:
            yield node
            graphs.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
