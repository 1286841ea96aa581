"""Writes what goes between layers as numbers from 0 to 255 instead of -128 to 127, which changes no value."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

_SHIFT = 128


def with_unsigned_activations(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose QuantizeLinear nodes give UINT8, with each zero point moved by 128 along with the numbers.

    NNCF writes INT8 with a zero point. OpenVINO (2026.4.1, on a processor without VNNI) computes wrong sums from such
    numbers behind a Split: yolov8n then finds nothing. With UINT8 it is right, and processors multiply UINT8 by INT8.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    zero_points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    for tensor in graph.initializer:
        if tensor.name in zero_points and tensor.data_type == onnx.TensorProto.INT8:
            moved = numpy_helper.to_array(tensor).astype(np.int32) + _SHIFT
            tensor.CopyFrom(numpy_helper.from_array(moved.astype(np.uint8), tensor.name))
    del graph.value_info[:]  # which says INT8
    onnx.checker.check_model(changed, full_check=True)
    return changed
