"""Integer convolutions, written as float ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline_export.session import Session
from sightline_export.sources.integer_conv import with_float_convolutions

X_ZERO_POINT = np.array(131, dtype=np.uint8)
FILTERS = 4
ZERO_POINTS: dict[str, npt.NDArray[np.int8] | None] = {
    "none": None,
    "one": np.array(-7, dtype=np.int8),
    "per filter": np.array([-9, 0, 5, 127], dtype=np.int8),
}


def integer_model(
    *, w_zero_point: npt.NDArray[np.int8] | None, spatial: int = 2, groups: int = 1, opset: int = 18, to: int = 1
) -> onnx.ModelProto:
    """ConvInteger on 4 channels, padded and with strides, and the Cast that quantisers put behind it."""
    generator = np.random.default_rng(spatial + groups)
    weights: dict[str, npt.NDArray[Any]] = {
        "w": generator.integers(-128, 128, (FILTERS, 4 // groups, *[3] * spatial), dtype=np.int8),
        "x_zero_point": X_ZERO_POINT,
    }
    inputs = ["x", "w", "x_zero_point"]
    if w_zero_point is not None:
        weights["w_zero_point"] = w_zero_point
        inputs.append("w_zero_point")
    shape: list[str | int | None] = ["N", FILTERS, *[5] * spatial]
    layout: dict[str, Any] = {"pads": [1] * spatial * 2, "strides": [2] * spatial, "group": groups}
    nodes = [
        helper.make_node("ConvInteger", inputs, ["sums"], **layout),
        helper.make_node("Cast", ["sums"], ["y"], to=to),
    ]
    graph = helper.make_graph(
        nodes,
        "integer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 4, *[9] * spatial])],
        [helper.make_tensor_value_info("y", to, shape)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
        value_info=[helper.make_tensor_value_info("sums", TensorProto.INT32, shape)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def operators(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.mark.parametrize("zero_point", ZERO_POINTS)
@pytest.mark.parametrize(("spatial", "groups"), [(2, 1), (2, 2), (2, 4), (1, 1)])
def test_the_sums_are_the_same_whole_numbers(zero_point: str, spatial: int, groups: int) -> None:
    model = integer_model(w_zero_point=ZERO_POINTS[zero_point], spatial=spatial, groups=groups)
    x = np.random.default_rng(0).integers(0, 256, (2, 4, *[9] * spatial), dtype=np.uint8)
    (w,) = (numpy_helper.to_array(tensor) for tensor in model.graph.initializer if tensor.name == "w")
    zeros = ZERO_POINTS[zero_point]
    shift = np.reshape(0 if zeros is None else zeros.astype(np.int64), (-1, *[1] * (spatial + 1)))
    wanted = plain_sums(x.astype(np.int64) - int(X_ZERO_POINT), w.astype(np.int64) - shift, groups=groups)
    rewritten = with_float_convolutions(model)
    onnx.checker.check_model(rewritten, full_check=True)
    assert "ConvInteger" not in operators(rewritten)
    np.testing.assert_array_equal(Session(rewritten).run([x])[0], wanted)


def plain_sums(x: npt.NDArray[np.int64], w: npt.NDArray[np.int64], *, groups: int) -> npt.NDArray[np.int64]:
    """The convolution with 3-wide filters, strides of 2 and a border of 1, in whole numbers."""
    spatial = x.ndim - 2
    padded = np.pad(x, [(0, 0), (0, 0), *[(1, 1)] * spatial])
    axes = tuple(range(2, x.ndim))
    windows = np.lib.stride_tricks.sliding_window_view(padded, [3] * spatial, axis=axes)
    every_other = (slice(None), slice(None), *[slice(None, None, 2)] * spatial)
    places, taps = "hw"[:spatial], "ij"[:spatial]
    parts = zip(np.split(windows[every_other], groups, axis=1), np.split(w, groups), strict=True)
    equation = f"nc{places}{taps},oc{taps}->no{places}"
    return np.concatenate([np.einsum(equation, part, filters) for part, filters in parts], axis=1)


def test_old_operator_sets_are_rewritten_too() -> None:
    rewritten = with_float_convolutions(integer_model(w_zero_point=ZERO_POINTS["one"], opset=10))
    onnx.checker.check_model(rewritten, full_check=True)
    assert "Conv" in operators(rewritten)


def test_sums_that_are_needed_whole_stay() -> None:
    model = integer_model(w_zero_point=None, to=TensorProto.INT64)
    assert operators(with_float_convolutions(model)) == ["ConvInteger", "Cast"]
    model = integer_model(w_zero_point=None)
    model.graph.output.append(helper.make_tensor_value_info("sums", TensorProto.INT32, None))
    assert operators(with_float_convolutions(model)) == ["ConvInteger", "Cast"]
