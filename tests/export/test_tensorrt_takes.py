"""Each thing that TensorRT cannot take is found, and called by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sightline.errors import ExportError
from sightline_export.graph.compose import BACK, FRONT, NETWORK
from sightline_export.tensorrt.network import read_served
from sightline_export.tensorrt.takes import LARGEST_K, check_takes, faults

DEMO = Path(__file__).resolve().parents[2] / "model_repository" / "demo_net" / "1" / "model.onnx"


def good_graph() -> onnx.ModelProto:
    """Bytes, cast, a convolution, and a head that takes the best few: nothing that TensorRT minds."""
    pictures = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 8, 8, 3])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", 5])
    nodes = [
        helper.make_node("Cast", ["images"], [f"{FRONT}floats"], name=f"{FRONT}cast", to=TensorProto.FLOAT),
        helper.make_node("Transpose", [f"{FRONT}floats"], [f"{FRONT}planes"], name=f"{FRONT}turn", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", [f"{FRONT}planes", "weights"], [f"{NETWORK}feature"], name=f"{NETWORK}conv"),
        helper.make_node("Sigmoid", [f"{NETWORK}feature"], [f"{NETWORK}raw"], name=f"{NETWORK}sigmoid"),
        helper.make_node("Reshape", [f"{NETWORK}raw", "row"], [f"{BACK}row"], name=f"{BACK}reshape"),
        helper.make_node("TopK", [f"{BACK}row", "five"], ["scores", f"{BACK}places"], name=f"{BACK}best", axis=1),
    ]
    weights: dict[str, npt.NDArray[Any]] = {
        "weights": np.ones((1, 3, 1, 1), np.float32),
        "row": np.array([-1, 64]),
        "five": np.array([5]),
    }
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "good", [pictures], [scores], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


Damage = Callable[[onnx.ModelProto], None]


def named(model: onnx.ModelProto, name: str) -> onnx.NodeProto:
    (found,) = (node for node in model.graph.node if node.name == name)
    return found


def opset(version: int) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = version

    return damage


def newer_ir(model: onnx.ModelProto) -> None:
    model.ir_version = 12


def inserted(operator: str, *more: str, domain: str = "", **attributes: Any) -> Damage:
    """Another node between the network and its head."""

    def damage(model: onnx.ModelProto) -> None:
        inputs = [f"{NETWORK}raw", *more]
        node = helper.make_node(operator, inputs, [f"{NETWORK}x"], name="extra", domain=domain, **attributes)
        model.graph.node.insert(4, node)
        named(model, f"{BACK}reshape").input[0] = f"{NETWORK}x"
        if domain:
            model.opset_import.append(helper.make_opsetid(domain, 1))

    return damage


def free_axis(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "height"


def k_of(count: int) -> Damage:
    def damage(model: onnx.ModelProto) -> None:
        (five,) = (tensor for tensor in model.graph.initializer if tensor.name == "five")
        five.CopyFrom(numpy_helper.from_array(np.array([count]), "five"))

    return damage


def k_from_values(model: onnx.ModelProto) -> None:
    nodes = [
        helper.make_node("ReduceMax", [f"{BACK}row"], [f"{BACK}largest"], name="largest", keepdims=0),
        helper.make_node("Cast", [f"{BACK}largest"], [f"{BACK}whole"], name="whole", to=TensorProto.INT64),
        helper.make_node("Reshape", [f"{BACK}whole", "one"], [f"{BACK}count"], name="count"),
    ]
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "one"))
    for node in reversed(nodes):
        model.graph.node.insert(5, node)
    named(model, f"{BACK}best").input[1] = f"{BACK}count"


def bytes_without_cast(model: onnx.ModelProto) -> None:
    """Turned while they are bytes, cast afterwards."""
    cast, turn = named(model, f"{FRONT}cast"), named(model, f"{FRONT}turn")
    turn.input[0], cast.input[0] = "images", f"{FRONT}planes"
    named(model, f"{NETWORK}conv").input[0] = f"{FRONT}floats"
    nodes = [turn, cast, *model.graph.node[2:]]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def bytes_inside(model: onnx.ModelProto) -> None:
    inserted("Cast", to=TensorProto.UINT8)(model)
    node = helper.make_node("Cast", [f"{NETWORK}x"], [f"{NETWORK}y"], name="back", to=TensorProto.FLOAT)
    model.graph.node.insert(5, node)
    named(model, f"{BACK}reshape").input[0] = f"{NETWORK}y"


def in_half(name: str) -> Damage:
    """A node computes in FP16, between casts."""

    def damage(model: onnx.ModelProto) -> None:
        node = named(model, name)
        output, place = node.output[0], [each.name for each in model.graph.node].index(name)
        down = helper.make_node("Cast", [node.input[0]], [f"{output}_half"], name="down", to=TensorProto.FLOAT16)
        up = helper.make_node("Cast", [f"{output}_rough"], [output], name="up", to=TensorProto.FLOAT)
        node.input[0], node.output[0] = f"{output}_half", f"{output}_rough"
        model.graph.node.insert(place + 1, up)
        model.graph.node.insert(place, down)

    return damage


class Fault(NamedTuple):
    called: str
    says: str
    damage: Damage


FAULTS = [
    Fault("opset too new", "opset 21 is not one of 9 to 20", opset(21)),
    Fault("opset too old", "opset 8 is not one of 9 to 20", opset(8)),
    Fault("IR too new", "IR version 12", newer_ir),
    Fault("count of what is not zero", "NonZero extra: what it gives", inserted("NonZero")),
    Fault("chosen by values", "Compress extra: what it gives", inserted("Compress", "row")),
    Fault("unknown operator", "QLinearSigmoid extra: the operator set", inserted("QLinearSigmoid", domain="com.ours")),
    Fault("no such operator", "Det extra: it has no such operator", inserted("Det")),
    Fault("quantised", "DynamicQuantizeLinear extra: it has no", inserted("DynamicQuantizeLinear")),
    Fault("free axis", "images: axes [0, 1] vary in length", free_axis),
    Fault("large K", "its K is 3,841, and 3,840 is the most", k_of(LARGEST_K + 1)),
    Fault("K from values", "its K is not a constant", k_from_values),
    Fault("cubic", "its mode is 'cubic'", inserted("Resize", "", "row", mode="cubic")),
    Fault("antialiasing", "it has antialiasing", inserted("Resize", "", "row", mode="linear", antialias=1)),
    Fault("bytes without cast", "it computes with images, which is UINT8", bytes_without_cast),
    Fault("bytes inside", f"it computes with {NETWORK}x, which is UINT8", bytes_inside),
    Fault("FP16 behind", "Reshape back_reshape: it is part of the head and gives FP16", in_half(f"{BACK}reshape")),
    Fault("FP16 decoding", "Sigmoid network_sigmoid: it is part of the head", in_half(f"{NETWORK}sigmoid")),
]


def test_a_good_graph_has_no_fault() -> None:
    onnx.checker.check_model(good_graph(), full_check=True)
    assert faults(good_graph()) == []
    check_takes(good_graph())


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.called)
def test_each_fault_is_found_alone(fault: Fault) -> None:
    model = good_graph()
    fault.damage(model)
    found = faults(model)
    assert any(fault.says in sentence for sentence in found), found
    with pytest.raises(ExportError, match="TensorRT cannot take this graph"):
        check_takes(model)


def test_the_served_graph_of_a_cpu_is_refused_for_its_suppression_alone() -> None:
    (found,) = faults(read_served(DEMO))
    assert found.startswith("NonMaxSuppression")
