"""What TensorRT cannot take, found in a graph before trtexec spends minutes on it.

From the documentation of TensorRT 10's and 11's ONNX parser. That a graph has none of these faults does not prove that
TensorRT builds it, only that nothing is wrong that is known here.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto, helper

from sightline.errors import NotPlannableError
from sightline_export.graph.compose import BACK
from sightline_export.graph.half import element_types
from sightline_export.graph.learnt import constants, decoding
from sightline_export.graph.static import data_dependent_nodes
from sightline_export.graph.take_apart import part_of

OPSETS = range(9, 21)
LARGEST_IR_VERSION = 10
LARGEST_K = 3840
"""Of a TopK."""
_RESIZE_MODES = (b"nearest", b"linear")
_OPERATORS = frozenset(
    [
        "Abs",
        "Acos",
        "Acosh",
        "Add",
        "And",
        "ArgMax",
        "ArgMin",
        "Asin",
        "Asinh",
        "Atan",
        "Atanh",
        "AveragePool",
        "BatchNormalization",
        "Cast",
        "CastLike",
        "Ceil",
        "Celu",
        "Clip",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "ConvTranspose",
        "Cos",
        "Cosh",
        "CumSum",
        "DepthToSpace",
        "Div",
        "Dropout",
        "Einsum",
        "Elu",
        "Equal",
        "Erf",
        "Exp",
        "Expand",
        "EyeLike",
        "Flatten",
        "Floor",
        "Gather",
        "GatherElements",
        "GatherND",
        "Gelu",
        "Gemm",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "Greater",
        "GreaterOrEqual",
        "GridSample",
        "GroupNormalization",
        "HardSigmoid",
        "HardSwish",
        "Hardmax",
        "Identity",
        "InstanceNormalization",
        "IsInf",
        "IsNaN",
        "LRN",
        "LayerNormalization",
        "LeakyRelu",
        "Less",
        "LessOrEqual",
        "Log",
        "LogSoftmax",
        "LpNormalization",
        "LpPool",
        "MatMul",
        "Max",
        "MaxPool",
        "Mean",
        "MeanVarianceNormalization",
        "Min",
        "Mish",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "OneHot",
        "Or",
        "PRelu",
        "Pad",
        "Pow",
        "Range",
        "Reciprocal",
        "ReduceL1",
        "ReduceL2",
        "ReduceLogSum",
        "ReduceLogSumExp",
        "ReduceMax",
        "ReduceMean",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "ReduceSumSquare",
        "Relu",
        "Reshape",
        "Resize",
        "ReverseSequence",
        "RoiAlign",
        "Round",
        "ScatterElements",
        "ScatterND",
        "Selu",
        "Shape",
        "Shrink",
        "Sigmoid",
        "Sign",
        "Sin",
        "Sinh",
        "Size",
        "Slice",
        "Softmax",
        "Softplus",
        "Softsign",
        "SpaceToDepth",
        "Split",
        "Sqrt",
        "Squeeze",
        "Sub",
        "Sum",
        "Tan",
        "Tanh",
        "ThresholdedRelu",
        "Tile",
        "TopK",
        "Transpose",
        "Trilu",
        "Unsqueeze",
        "Upsample",
        "Where",
        "Xor",
    ]
)
"""Without those on quantised numbers, and without loops and conditions."""


def check_takes(model: onnx.ModelProto) -> None:
    """Refuse a graph that TensorRT cannot take as a strongly typed network.

    Raises:
        NotPlannableError: it has faults; the message lists them.
    """
    if found := faults(model):
        raise NotPlannableError(f"TensorRT cannot take this graph: {'; '.join(found)}")


def faults(model: onnx.ModelProto) -> list[str]:
    """Everything that is wrong with a graph, one sentence each; [] is good."""
    found = [*_versions(model), *_operators(model), *_shapes(model.graph), *_constants(model.graph)]
    # Whether the types are right is only known where every operator is.
    return found or [*_bytes(model), *_half_in_head(model)]


def _versions(model: onnx.ModelProto) -> Iterator[str]:
    opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset not in OPSETS:
        yield f"opset {opset} is not one of {OPSETS.start} to {OPSETS.stop - 1}"
    if model.ir_version > LARGEST_IR_VERSION:
        yield f"ONNX IR version {model.ir_version} is larger than {LARGEST_IR_VERSION}"


def _operators(model: onnx.ModelProto) -> Iterator[str]:
    dependent = data_dependent_nodes(model)
    yield from (f"{node}: what it gives, or how often it runs, follows from values" for node in dependent)
    for node in model.graph.node:
        named = f"{node.op_type} {node.name}"
        if node.domain not in ("", "ai.onnx"):
            yield f"{named}: the operator set {node.domain!r} is unknown to it"
        elif node.op_type not in _OPERATORS and named not in dependent:
            yield f"{named}: it has no such operator"


def _shapes(graph: onnx.GraphProto) -> Iterator[str]:
    for value in (*graph.input, *graph.output):
        free = [axis for axis, dim in enumerate(value.type.tensor_type.shape.dim) if not dim.HasField("dim_value")]
        if free not in ([], [0]):
            yield f"{value.name}: axes {free} vary in length, and only the batch axis may"


def _constants(graph: onnx.GraphProto) -> Iterator[str]:
    known = constants(graph)
    for node in graph.node:
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type == "TopK":
            count = known.get(node.input[1])
            if count is None:
                yield f"TopK {node.name}: its K is not a constant"
            elif int(count.item()) > LARGEST_K:
                yield f"TopK {node.name}: its K is {int(count.item()):,}, and {LARGEST_K:,} is the most"
        if node.op_type == "Resize" and attributes.get("mode", b"nearest") not in _RESIZE_MODES:
            yield f"Resize {node.name}: its mode is {attributes['mode'].decode()!r}, not nearest or linear"
        if node.op_type == "Resize" and attributes.get("antialias"):
            yield f"Resize {node.name}: it has antialiasing"


def _bytes(model: onnx.ModelProto) -> Iterator[str]:
    """UINT8 is for inputs and outputs only, and a cast comes first and last."""
    graph, types = model.graph, element_types(model)
    inputs = {value.name for value in graph.input}
    for node in graph.node:
        for name in (*node.input, *node.output):
            if types.get(name) == TensorProto.UINT8 and not (node.op_type == "Cast" and name in inputs):
                yield f"{node.op_type} {node.name}: it computes with {name}, which is UINT8 and needs a Cast before"


def _half_in_head(model: onnx.ModelProto) -> Iterator[str]:
    """Coordinates in pixels are too many for FP16."""
    graph, types = model.graph, element_types(model)
    made_by_others = {name for node in graph.node if part_of(node) != BACK for name in node.output}
    behind = [node for node in graph.node if part_of(node) == BACK]
    raw = {name for node in behind for name in node.input} & made_by_others
    head = {node.output[0] for node in behind}.union(*(decoding(graph, name) for name in raw))
    for node in graph.node:
        half = any(types.get(name) == TensorProto.FLOAT16 for name in node.output)
        if half and node.output[0] in head:
            yield f"{node.op_type} {node.name}: it is part of the head and gives FP16"
