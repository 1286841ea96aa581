"""Zeros in front of a maximum, which ONNX Runtime takes for nothing."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline_export.graph.settings import IR_VERSION, OPSET
from sightline_export.session import Session
from sightline_export.sources.padding import with_kept_padding

BELOW_ZERO = np.array([[-3.0, -1.0], [-4.0, -2.0]], dtype=np.float32)[None, None]
PADDED_RIGHT_AND_BELOW = np.array([[-1.0, 0.0], [0.0, 0.0]])


def padded_maxima(value: float | None, mode: str = "constant") -> onnx.ModelProto:
    """A row and a column are added, then every 2 x 2 places become their maximum."""
    tensors = [numpy_helper.from_array(np.array([0, 0, 0, 0, 0, 0, 1, 1], dtype=np.int64), "pads")]
    inputs = ["images", "pads"]
    if value is not None:
        tensors.append(numpy_helper.from_array(np.array(value, dtype=np.float32), "value"))
        inputs.append("value")
    nodes = [
        helper.make_node("Pad", inputs, ["padded"], mode=mode),
        helper.make_node("MaxPool", ["padded"], ["output0"], kernel_shape=[2, 2], strides=[1, 1]),
    ]
    pictures, maxima = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 2, 2]) for name in ("images", "output0")
    )
    graph = helper.make_graph(nodes, "padded", [pictures], [maxima], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


@pytest.mark.parametrize("value", [0.0, None])
def test_zeros_stay_in_an_ordinary_session(value: float | None) -> None:
    model = with_kept_padding(padded_maxima(value))
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    [maxima] = session.run(None, {"images": BELOW_ZERO})
    np.testing.assert_allclose(maxima[0, 0], PADDED_RIGHT_AND_BELOW, atol=1e-20)


@pytest.mark.parametrize("value", [0.0, None])
def test_a_file_as_it_came_means_what_it_says(value: float | None) -> None:
    [maxima] = Session(padded_maxima(value)).run([BELOW_ZERO])
    np.testing.assert_array_equal(maxima[0, 0], PADDED_RIGHT_AND_BELOW)


@pytest.mark.parametrize(("value", "mode"), [(-1.5, "constant"), (0.0, "edge")])
def test_other_padding_is_left_alone(value: float, mode: str) -> None:
    model = padded_maxima(value, mode)
    before = model.SerializeToString()
    assert with_kept_padding(model).SerializeToString() == before
