"""Lets a network that takes one picture at a time take batches."""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

_PICTURE, _PREDICTION = "scanned_picture", "scanned_prediction"


def scan_over_images(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network inside a loop over the batch axis.

    Its batch of 1 is part of constants all over the graph (shapes of Reshape, Expand, Concat), which cannot be
    rewritten safely; so the graph stays as it is and ONNX's Scan feeds it one picture after the other. Pictures
    cannot influence each other so, not even through ranges that a quantised network computes at run time.

    Args:
        model: [1, 3, S, S] to [1, R, C], one input and one output.

    Returns:
        [N, 3, S, S] to [N, R, C], with the same names.
    """
    source, target = model.graph.input[0], model.graph.output[0]
    looped = onnx.ModelProto()
    looped.CopyFrom(model)
    looped.graph.CopyFrom(_outer(_body(model.graph), source, target))
    return looped


def _body(graph: onnx.GraphProto) -> onnx.GraphProto:
    """The network for one picture without its batch axis."""
    source, target = graph.input[0], graph.output[0]
    body = onnx.GraphProto()
    body.CopyFrom(graph)
    axis = helper.make_tensor("scanned_axis", TensorProto.INT64, [1], [0])
    before = helper.make_node("Unsqueeze", [_PICTURE, axis.name], [source.name], name="scan_unsqueeze")
    after = helper.make_node("Squeeze", [target.name, axis.name], [_PREDICTION], name="scan_squeeze")
    body.initializer.append(axis)
    nodes = [before, *graph.node, after]
    del body.node[:], body.input[:], body.output[:]
    body.node.extend(nodes)
    body.input.append(_without_batch(_PICTURE, source))
    body.output.append(_without_batch(_PREDICTION, target))
    return body


def _outer(body: onnx.GraphProto, source: onnx.ValueInfoProto, target: onnx.ValueInfoProto) -> onnx.GraphProto:
    pictures, predictions = f"{source.name}_batch", f"{target.name}_batch"
    scan = helper.make_node("Scan", [pictures], [predictions], name="scan", body=body, num_scan_inputs=1)
    return helper.make_graph([scan], "batched", [_with_batch(pictures, source)], [_with_batch(predictions, target)])


def _dims(value: onnx.ValueInfoProto) -> list[str | int | None]:
    return [dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim]


def _without_batch(name: str, value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, _dims(value)[1:])


def _with_batch(name: str, value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, ["batch", *_dims(value)[1:]])
