"""Where a network ends and the decoding of what it says begins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

Array = npt.NDArray[Any]
SHAPE_OPERATORS = frozenset({"Shape", "Size"})
"""What they give does not follow from numbers in a tensor, only from their places."""
_LEARNT = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""Operators whose second factor training found, if it is a constant."""
_SHORTEST_RAMP = 4
_PLACES = {"Gather": (1,), "GatherElements": (1,), "GatherND": (1,), "RoiAlign": (1, 2)}
"""Inputs that say where to look, by operator."""


def decoding(graph: onnx.GraphProto, raw: str) -> frozenset[str]:
    """First outputs of the nodes that compute boxes and scores from what the last learnt layers gave.

    They are those that lead to the raw output without a learnt layer between: anchors, strides, sigmoids, the expected
    value of a distribution over distances (DFL), the reference points that one decoder layer hands to the next. Their
    numbers are coordinates, for which 11 significant bits are too few: in FP16 there are half pixels at 640 only, and
    a quarter of a stride of 32 in the DFL's 16 steps. Those belong to it too that lead in the same way to where the
    network looks: the proposals that features are pooled under, their areas (beyond FP16's 65504) and their order.

    Args:
        graph: the network, or more than it.
        raw: name of its output.
    """
    made_by = {name: node for node in graph.node for name in node.output}
    known = constants(graph)
    found: set[str] = set()
    pending = [raw, *_places(graph)]
    while pending:
        node = made_by.get(pending.pop())
        if node is None or node.output[0] in found or node.op_type in SHAPE_OPERATORS or _is_learnt(node, known):
            continue
        found.add(node.output[0])
        pending += node.input
    return frozenset(found)


def _places(graph: onnx.GraphProto) -> Iterator[str]:
    """Names of the tensors that say where to look."""
    for node in graph.node:
        yield from (node.input[position] for position in _PLACES.get(node.op_type, ()))


def last_learnt(graph: onnx.GraphProto, raw: str) -> frozenset[str]:
    """First outputs of the learnt layers that `decoding` begins at."""
    made_by = {name: node for node in graph.node for name in node.output}
    decoded = decoding(graph, raw)
    known = constants(graph)
    given = {name for node in graph.node if node.output[0] in decoded for name in node.input} | {raw}
    behind = (made_by[name] for name in given if name in made_by)
    return frozenset(node.output[0] for node in behind if node.output[0] not in decoded and _is_learnt(node, known))


def _is_learnt(node: onnx.NodeProto, known: Mapping[str, Array | None]) -> bool:
    """Whether it multiplies by weights; those of the DFL are the numbers 0, 1, 2 … and nothing that was learnt."""
    if node.op_type not in _LEARNT:
        return False
    factors = [known[name] for name in node.input[:2] if name in known]
    return bool(factors) and not all(value is not None and _is_ramp(value) for value in factors)


def _is_ramp(value: Array) -> bool:
    numbers = np.asarray(value, dtype=np.float64).ravel()
    steps = np.diff(numbers)
    return bool(numbers.size >= _SHORTEST_RAMP and steps[0] != 0 and np.allclose(steps, steps[0], rtol=1e-3))


def constants(graph: onnx.GraphProto) -> dict[str, Array | None]:
    """Tensors that are the same for every picture, with their values where they are written down somewhere."""
    known: dict[str, Array | None] = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            value = onnx.helper.get_node_attr_value(node, node.attribute[0].name)
            array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
            known[node.output[0]] = array
        elif all(name in known for name in node.input if name):
            same = known[node.input[0]] if node.op_type == "Identity" else None
            known.update(dict.fromkeys(node.output, same))
    return known
