"""Changes to a served graph that a gate must notice: each is a mistake that exports really contain."""

from __future__ import annotations

from collections.abc import Callable

import onnx
from onnx import TensorProto, helper, numpy_helper

Change = Callable[[onnx.ModelProto], None]


def tampered(graph: bytes, change: Change) -> bytes:
    """The serialised graph after a change."""
    model = onnx.load_from_string(graph)
    change(model)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def shift_boxes(model: onnx.ModelProto) -> None:
    """Every box lies 5 pixels further right and down, as after a wrong letterbox."""
    _behind(model, "boxes", "Add", 5.0, TensorProto.FLOAT)


def reverse_classes(model: onnx.ModelProto) -> None:
    """Class 0 is called 79."""
    before = _rename_output(model, "classes")
    _add_constant(model, "last_class", 79, TensorProto.INT32)
    model.graph.node.append(helper.make_node("Sub", ["last_class", before], ["classes"]))


def halve_pixels(model: onnx.ModelProto) -> None:
    """Pixels are divided by 510, not by 255."""
    dividing = next(node for node in model.graph.node if node.op_type == "Div")
    _set_constant(model, dividing.input[1], 510.0)


def hardly_suppress(model: onnx.ModelProto) -> None:
    """Boxes may overlap by 99 % without one of them being dropped."""
    suppressing = next(node for node in model.graph.node if node.op_type == "NonMaxSuppression")
    _set_constant(model, suppressing.input[3], 0.99)


def drop_half(model: onnx.ModelProto) -> None:
    """Only every second detection, rounded down, is counted."""
    before = _rename_output(model, "num_detections")
    _add_constant(model, "two", 2, TensorProto.INT32)
    model.graph.node.append(helper.make_node("Div", [before, "two"], ["num_detections"]))


def _behind(model: onnx.ModelProto, output: str, operator: str, value: float, kind: int) -> None:
    before = _rename_output(model, output)
    _add_constant(model, f"{output}_change", value, kind)
    model.graph.node.append(helper.make_node(operator, [before, f"{output}_change"], [output]))


def _rename_output(model: onnx.ModelProto, name: str) -> str:
    """Give what makes an output another name, which is returned."""
    before = f"{name}_before"
    for node in model.graph.node:
        for names in (node.input, node.output):
            names[:] = [before if each == name else each for each in names]
    return before


def _add_constant(model: onnx.ModelProto, name: str, value: float, kind: int) -> None:
    model.graph.initializer.append(helper.make_tensor(name, kind, [], [value]))


def _set_constant(model: onnx.ModelProto, name: str, value: float) -> None:
    maker = next(node for node in model.graph.node if name in node.output)
    assert maker.op_type == "Constant"
    shape = numpy_helper.to_array(helper.get_node_attr_value(maker, "value")).shape if _is_tensor(maker) else ()
    maker.CopyFrom(
        helper.make_node("Constant", [], [name], value=helper.make_tensor(name, TensorProto.FLOAT, shape, [value]))
    )


def _is_tensor(node: onnx.NodeProto) -> bool:
    return node.attribute[0].name == "value"
