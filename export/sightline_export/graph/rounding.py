"""A graph with FP16 in it, rewritten so that a CPU rounds where a GPU would.

ONNX Runtime has no FP16 arithmetic on most CPUs: it computes FP16 nodes in FP32 and leaves out the casts between them,
so that nothing is rounded and nothing overflows. Here the rounding is written down in FP32 operations.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from .half import element_types

_EXACT = frozenset(
    {
        "Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GatherElements", "GatherND", "Identity", "MaxPool",
        "Relu", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
    }
)  # fmt: skip
"""Operators whose results are numbers that they were given."""
_SPLITTER, _LARGEST = "rounding_splitter", "rounding_largest"
_BITS = 13
"""Significant bits that FP32 has beyond FP16's 11."""


def with_rounding(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in FP32 that rounds each FP16 result to 11 significant bits, and to infinity beyond 65504.

    The sum inside a convolution stays in FP32, as it does on a GPU's tensor cores. A GPU that fuses nodes rounds less
    often. What FP16 cannot tell from 0 is not lost here.
    """
    types = element_types(model)
    halves = {name for name, kind in types.items() if kind == TensorProto.FLOAT16}
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(written for node in model.graph.node for written in _write(node, halves))
    graph.initializer.extend(_widened(tensor) for tensor in model.graph.initializer)
    graph.initializer.append(numpy_helper.from_array(np.float32(2**_BITS + 1), _SPLITTER))
    graph.initializer.append(numpy_helper.from_array(np.float32(np.finfo(np.float16).max), _LARGEST))
    onnx.checker.check_model(changed, full_check=True)
    return changed


def _write(node: onnx.NodeProto, halves: set[str]) -> Iterator[onnx.NodeProto]:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    rounded = [name for name in node.output if name in halves and node.op_type not in _EXACT]
    if node.op_type == "Cast" and node.output[0] in halves:
        del copy.attribute[:]
        copy.attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
    for position, name in enumerate(node.output):
        if name in rounded:
            copy.output[position] = f"{name}_exact"
    yield copy
    for name in rounded:
        yield from _round(f"{name}_exact", name)


def _round(exact: str, name: str) -> Iterator[onnx.NodeProto]:
    """Veltkamp's splitting: the upper 11 bits of a number, rounded to nearest; infinite where they are too large."""
    steps = [
        ("Mul", [exact, _SPLITTER], "scaled"),
        ("Sub", [f"{name}_scaled", exact], "rest"),
        ("Sub", [f"{name}_scaled", f"{name}_rest"], "upper"),
        ("Abs", [f"{name}_upper"], "size"),
        ("LessOrEqual", [f"{name}_size", _LARGEST], "fits"),
    ]
    for operator, inputs, result in steps:
        yield helper.make_node(operator, inputs, [f"{name}_{result}"], name=f"{name}_{result}")
    yield helper.make_node("Cast", [f"{name}_fits"], [f"{name}_one"], name=f"{name}_one", to=TensorProto.FLOAT)
    yield helper.make_node("Div", [f"{name}_upper", f"{name}_one"], [name], name=f"{name}_rounded")


def _widened(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_type != TensorProto.FLOAT16:
        return tensor
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
