"""Which nodes compute in FP16, on graphs small enough to see it, and how a CPU is made to round as FP16 does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline.errors import ExportError
from sightline_export.graph.half import element_types, to_half
from sightline_export.graph.learnt import decoding
from sightline_export.graph.rounding import with_rounding
from sightline_export.session import Session


def network(nodes: list[onnx.NodeProto], weights: dict[str, npt.NDArray[Any]], outputs: list[str]) -> onnx.ModelProto:
    """A graph from `x` [N, 4, 8, 8] to outputs of any shape."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4, 8, 8])
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "network", [given], results, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def node(operator: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs.split(), [output], name=output, **attributes)


def kernel(*dims: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(1).normal(0, 0.1, dims).astype(np.float32)


RAMP = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)


def test_the_expected_value_of_a_distribution_is_part_of_the_decoding() -> None:
    nodes = [
        node("Conv", "x learnt", "distances"),
        node("Softmax", "distances", "shares", axis=1),
        node("Conv", "shares ramp", "mean"),
        node("Mul", "mean stride", "raw"),
    ]
    weights = {"learnt": kernel(4, 4, 1, 1), "ramp": RAMP, "stride": np.float32(8)}
    assert decoding(network(nodes, weights, ["raw"]).graph, "raw") == {"shares", "mean", "raw"}
    learnt_too = {**weights, "ramp": kernel(1, 4, 1, 1)}
    assert decoding(network(nodes, learnt_too, ["raw"]).graph, "raw") == {"raw"}


def test_reference_points_stay_in_fp32_while_the_layers_between_are_fp16() -> None:
    nodes = [
        node("Conv", "x first", "feature"),
        node("Sigmoid", "feature", "points"),
        node("Conv", "points second", "hidden"),
        node("Relu", "hidden", "state"),
        node("Conv", "state third", "change"),
        node("Add", "change points", "raw"),
    ]
    weights = {name: kernel(4, 4, 1, 1) for name in ("first", "second", "third")}
    model = network(nodes, weights, ["raw"])
    kept = decoding(model.graph, "raw")
    assert kept == {"raw", "points"}
    types = element_types(to_half(model, begins="x", without=kept))
    halves = {name for name in ("feature", "points", "hidden", "state", "change", "raw") if types[name] == 10}
    assert halves == {"feature", "hidden", "state", "change"}


def test_where_a_network_looks_again_is_computed_in_fp32() -> None:
    nodes = [
        node("Conv", "x first", "feature"),
        node("Conv", "feature second", "deltas"),
        node("Reshape", "deltas as_boxes", "coded"),
        node("Mul", "coded stride", "proposals"),
        node("ReduceMax", "coded last_axis", "best", keepdims=0),
        helper.make_node("TopK", ["best", "count"], ["ordered", "order"], name="order"),
        node("Gather", "proposals order", "rois"),
        node("RoiAlign", "feature rois first_picture", "pooled"),
        node("Conv", "pooled third", "raw"),
    ]
    weights = {
        **{name: kernel(4, 4, 1, 1) for name in ("first", "second", "third")},
        "as_boxes": np.array([-1, 4]),
        "stride": np.float32(8),
        "last_axis": np.array([1]),
        "count": np.array([2]),
        "first_picture": np.zeros(2, np.int64),
    }
    model = network(nodes, weights, ["raw"])
    kept = decoding(model.graph, "raw")
    assert {"rois", "proposals", "coded", "ordered"} <= kept
    assert kept.isdisjoint({"feature", "deltas", "pooled"})
    types = element_types(to_half(model, begins="x", without=kept))
    halves = {
        name for name in ("feature", "deltas", "coded", "proposals", "best", "rois", "pooled") if types[name] == 10
    }
    assert halves == {"feature", "deltas"}


def test_places_of_anchors_do_not_draw_the_feature_map_into_the_head() -> None:
    nodes = [
        node("Conv", "x first", "early"),
        node("Sigmoid", "early", "feature"),
        node("Shape", "feature", "sides", start=2),
        node("Cast", "sides", "anchors", to=TensorProto.FLOAT),
        node("ReduceMax", "anchors", "largest", keepdims=0),
        node("Conv", "feature second", "boxes"),
        node("Mul", "boxes largest", "raw"),
    ]
    model = network(nodes, {"first": kernel(4, 4, 1, 1), "second": kernel(4, 4, 1, 1)}, ["raw"])
    kept = decoding(model.graph, "raw")
    assert kept == {"raw", "largest", "anchors"}
    changed = to_half(model, begins="x", without=kept)
    assert [n.input[0] for n in changed.graph.node if n.op_type == "Shape"] == ["feature"]
    assert element_types(changed)["anchors"] == TensorProto.FLOAT


def test_sums_and_squares_inside_the_network_stay_in_fp32() -> None:
    nodes = [
        node("Conv", "x learnt", "large"),
        node("Pow", "large two", "squared"),
        node("ReduceMean", "squared", "mean", keepdims=1),
        node("Relu", "mean", "kept"),
        node("Conv", "kept last", "raw"),
    ]
    weights = {"learnt": kernel(4, 4, 1, 1), "two": np.float32(2), "last": kernel(4, 4, 1, 1)}
    model = network(nodes, weights, ["raw"])
    changed = to_half(model, begins="x", without=frozenset())
    types = element_types(changed)
    assert {types["squared"], types["mean"]} == {TensorProto.FLOAT}
    assert types["kept"] == TensorProto.FLOAT16


def test_a_weight_of_two_precisions_is_written_twice() -> None:
    nodes = [node("Mul", "x scale", "scaled"), node("Conv", "scaled learnt", "f"), node("Mul", "f scale", "raw")]
    model = network(nodes, {"scale": np.float32(1.0 / 3), "learnt": kernel(4, 4, 1, 1)}, ["raw"])
    changed = to_half(model, begins="x", without=decoding(model.graph, "raw"))
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in changed.graph.initializer}
    assert values["scale"].dtype == np.float32
    assert values["scale_half"].dtype == np.float16


def test_a_shared_bias_stays_a_written_weight() -> None:
    nodes = [
        node("Identity", "stored", "bias"),
        node("Conv", "x learnt bias", "feature"),
        node("Sigmoid", "feature", "raw"),
    ]
    model = network(nodes, {"stored": kernel(4), "learnt": kernel(4, 4, 1, 1)}, ["raw"])
    changed = to_half(model, begins="x", without=frozenset())
    (conv,) = (n for n in changed.graph.node if n.op_type == "Conv")
    assert set(conv.input[1:]) <= {tensor.name for tensor in changed.graph.initializer}


def test_a_weight_beyond_fp16_is_refused() -> None:
    nodes = [node("Conv", "x learnt", "feature"), node("Sigmoid", "feature", "raw")]
    model = network(nodes, {"learnt": np.full((4, 4, 1, 1), 7e4, np.float32)}, ["raw"])
    with pytest.raises(ExportError, match=r"reaches 7e\+04, and FP16 ends at 65504: build it with --precision fp32"):
        to_half(model, begins="x", without=frozenset())


def test_a_network_without_learnt_layers_has_nothing_to_make_fp16() -> None:
    model = network([node("Sigmoid", "x", "raw")], {}, ["raw"])
    with pytest.raises(ExportError, match="no layer that could compute in FP16"):
        to_half(model, begins="x", without=decoding(model.graph, "raw"))


# --- rounding ---------------------------------------------------------------------------------------------------
def rounded(values: npt.NDArray[np.float32], factor: float) -> npt.NDArray[np.float32]:
    nodes = [node("Mul", "x factor", "product"), node("Identity", "product", "raw")]
    model = network(nodes, {"factor": np.float32(factor)}, ["raw"])
    picture = np.resize(values, (1, 4, 8, 8)).astype(np.float32)
    (result,) = Session(with_rounding(to_half(model, begins="x", without=frozenset()))).run([picture])
    return np.asarray(result).ravel()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 640.0, 3e4])
def test_rounding_is_that_of_fp16(scale: float) -> None:
    values = np.random.default_rng(2).uniform(-scale, scale, 256).astype(np.float32)
    values = values[np.abs(values) > 1e-4]
    halves = values.astype(np.float16)
    came = rounded(values, 0.75)[: len(values)]
    assert np.array_equal(came, (halves * np.float16(0.75)).astype(np.float32))


def test_what_is_too_large_for_fp16_becomes_infinite() -> None:
    values = np.array([60000, -60000, 30000, 0], dtype=np.float32)
    assert rounded(values, 2.0)[:4].tolist() == [np.inf, -np.inf, 60000, 0]
