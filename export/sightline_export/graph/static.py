"""Tells whether a graph's shapes are known before it runs, as TensorRT and CUDA graphs want it."""

from __future__ import annotations

import onnx

_DATA_DEPENDENT = frozenset(
    {"NonMaxSuppression", "NonZero", "Unique", "Compress", "Loop", "If", "Scan", "SequenceInsert", "StringSplit"}
)
"""Operators whose output shapes, or whose number of runs, follow from values."""


def data_dependent_nodes(model: onnx.ModelProto) -> list[str]:
    """The nodes whose output shapes follow from values and not from input shapes, as `operator name`; [] is good."""
    return [f"{node.op_type} {node.name}" for node in model.graph.node if node.op_type in _DATA_DEPENDENT]
