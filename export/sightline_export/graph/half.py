"""Makes a chosen part of a graph compute in FP16, with casts at its borders and nowhere else.

ONNX Runtime's and onnxconverter-common's converters are not used for it: behind every node that is to stay in FP32 they
cast to FP16 and back, so that a head of many such nodes is rounded at each of them, and its boxes come out in half
pixels all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightline.errors import ExportError

from .learnt import SHAPE_OPERATORS, Array, constants

KEPT_FLOAT = frozenset(
    {
        "CumSum", "Exp", "GroupNormalization", "InstanceNormalization", "LayerNormalization", "Log", "LpNormalization",
        "Pow", "ReduceL2", "ReduceMean", "ReduceSum", "ReduceSumSquare", "RoiAlign", "Sqrt",
    }
)  # fmt: skip
"""Operators that sum or square, in which FP16 overflows at 65504, and one whose pixel coordinates have the type of its
features; they are cheap."""
_FLOAT_POSITIONS = {"Resize": (1, 2)}
"""Inputs that ONNX wants in FP32, by operator."""
_LARGEST = float(np.finfo(np.float16).max)


def to_half(model: onnx.ModelProto, *, begins: str, without: frozenset[str]) -> onnx.ModelProto:
    """A copy in which what depends on a tensor computes in FP16, but for some nodes.

    Args:
        model: FP32, without subgraphs.
        begins: the tensor; what does not depend on its values, such as arithmetic with shapes, stays as it is.
        without: first outputs of the nodes that stay as they are, as those in `KEPT_FLOAT` do, and those that give the
            graph's outputs.

    Raises:
        ExportError: nothing would be FP16, or a weight is too large for it.
    """
    types = element_types(model)
    halves = _chosen(model.graph, begins, without, types)
    if not halves:
        raise ExportError("the network has no layer that could compute in FP16: build it with --precision fp32")
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    writer = _Writer(model.graph, halves, types)
    nodes = [written for node in model.graph.node for written in writer.write(node)]
    del changed.graph.node[:], changed.graph.initializer[:], changed.graph.value_info[:]
    changed.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    weights = [*model.graph.initializer, *writer.weights.values()]
    changed.graph.initializer.extend(weight for weight in weights if weight.name in used)
    onnx.checker.check_model(changed, full_check=True)
    return changed


def element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every tensor of a graph, a member of `TensorProto.DataType`.

    Raises:
        ExportError: there is an operator whose results are not known.
    """
    graph = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    values = [*graph.input, *graph.value_info, *graph.output]
    types = {value.name: int(value.type.tensor_type.elem_type) for value in values}
    types |= {tensor.name: int(tensor.data_type) for tensor in graph.initializer}
    unknown = [node for node in graph.node if any(name and not types.get(name) for name in node.output)]
    if unknown:
        raise ExportError(f"the element type of what {unknown[0].op_type} {unknown[0].name} gives is not known")
    return types


def _chosen(graph: onnx.GraphProto, begins: str, without: frozenset[str], types: Mapping[str, int]) -> frozenset[str]:
    """Names of the tensors that become FP16."""
    outputs = {value.name for value in graph.output}
    depending: set[str] = {begins}
    chosen: set[str] = set()
    for node in graph.node:
        if node.op_type in SHAPE_OPERATORS or depending.isdisjoint(node.input):
            continue
        depending.update(node.output)
        if node.output[0] not in without and node.op_type not in KEPT_FLOAT and outputs.isdisjoint(node.output):
            chosen.update(name for name in node.output if types.get(name) == TensorProto.FLOAT)
    return frozenset(chosen)


class _Writer:
    """Writes nodes anew, each with the casts that it needs before it."""

    def __init__(self, graph: onnx.GraphProto, halves: frozenset[str], types: Mapping[str, int]) -> None:
        self.weights: dict[str, onnx.TensorProto] = {}
        self._halves = halves
        self._types = types
        self._constants = constants(graph)
        self._cast: set[str] = set()

    def write(self, node: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The node, behind the casts that nobody wrote before."""
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        half = any(name in self._halves for name in node.output)
        for position, name in enumerate(node.input if node.op_type not in SHAPE_OPERATORS else ()):
            wants_half = half and position not in _FLOAT_POSITIONS.get(node.op_type, ())
            if self._types.get(name) == TensorProto.FLOAT and wants_half != (name in self._halves):
                copy.input[position] = f"{name}_{'half' if wants_half else 'float'}"
                yield from self._make(name, copy.input[position], half=wants_half)
        if half and node.op_type == "Cast":
            del copy.attribute[:]
            copy.attribute.append(helper.make_attribute("to", TensorProto.FLOAT16))
        yield copy

    def _make(self, name: str, changed: str, *, half: bool) -> Iterator[onnx.NodeProto]:
        if changed in self._cast or changed in self.weights:
            return
        if (values := self._constants.get(name)) is not None:
            # A weight, not a cast of one: TensorRT wants those of a convolution to be written down.
            self.weights[changed] = _rounded(values, changed)
            return
        self._cast.add(changed)
        to = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        yield helper.make_node("Cast", [name], [changed], name=f"{changed}_cast", to=to)


def _rounded(values: Array, name: str) -> onnx.TensorProto:
    largest = float(np.abs(values).max(initial=0))
    if largest > _LARGEST:
        raise ExportError(
            f"the weight {name} reaches {largest:.3g}, and FP16 ends at {_LARGEST:.0f}: build it with --precision fp32"
        )
    return numpy_helper.from_array(values.astype(np.float16), name)
