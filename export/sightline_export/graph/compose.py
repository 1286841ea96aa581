"""Puts the steps around a raw network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx
from onnx import compose as onnx_compose
from onnx.inliner import inline_local_functions

from sightline.contract import (
    ORIGINAL_SHAPE,
    SCORE_THRESHOLD,
    TensorSpec,
    detection_outputs,
)
from sightline_export.heads import Head
from sightline_export.script import Floats, Integers, Integers32, graph_function, op

from .multi_label import pair_limit, pairing
from .settings import IR_VERSION, OPSET, GraphSettings
from .steps import finishing, fronting, selecting, thresholding, to_original
from .suppression import by_matrix, by_operator

FRONT, NETWORK, BACK = "front_", "network_", "back_"
"""Prefixes that keep the names of the three parts apart, and by which `take_apart` finds them."""
_ELEMENT_TYPES = {
    "UINT8": onnx.TensorProto.UINT8,
    "INT32": onnx.TensorProto.INT32,
    "INT64": onnx.TensorProto.INT64,
    "FP32": onnx.TensorProto.FLOAT,
}
_BATCH = "batch"


def compose(raw: onnx.ModelProto, head: Head, settings: GraphSettings) -> onnx.ModelProto:
    """The served graph, from `Preprocessing.network_inputs` to `contract.detection_outputs`.

    Args:
        raw: float32 [N, 3, H, W] to the raw output, N free; opset `OPSET`.
        head: layout of the raw output.
        settings: numbers that are fixed in the graph.
    """
    network = onnx_compose.add_prefix(_plain(raw), NETWORK)
    pictures = _value(settings.preprocessing.images)
    front = fronting(settings.pixels, settings.preprocessing.images)
    before = onnx_compose.add_prefix(_graph(front, [pictures]), FRONT)
    return finish(_join(before, network), head, settings)


def finish(network: onnx.ModelProto, head: Head, settings: GraphSettings) -> onnx.ModelProto:
    """The served graph of a front and a network that are joined already: `postprocess` behind them."""
    joined = _join(network, onnx_compose.add_prefix(postprocess(head, settings), BACK))
    _name_interface(joined.graph, settings)
    onnx.checker.check_model(joined, full_check=True)
    return joined


def postprocess(head: Head, settings: GraphSettings) -> onnx.ModelProto:
    """The part behind the network alone: raw output, original_shape, score_threshold to the contract's outputs."""
    looked_at = candidate_limit(head, settings)
    if settings.multi_label:
        decode, settings = pairing(head, settings)
    else:
        decode = head.decoding(settings.candidate_count)
    threshold = thresholding(score_floor=settings.score_floor)
    suppress = _suppression(head, settings)
    slots = min(settings.max_detections, looked_at)
    select = selecting(count=slots)
    unprocess = to_original(settings.preprocessing)
    finish = finishing(missing=settings.max_detections - slots)

    @graph_function
    def back(
        raw: Floats, original_shape: Integers, score_threshold: Floats
    ) -> tuple[Integers32, Floats, Floats, Integers32]:
        decoded_boxes, decoded_scores, decoded_classes = decode(raw)
        sound_boxes, sound_scores = threshold(decoded_boxes, decoded_scores, score_threshold)
        boxes, scores, classes = suppress(sound_boxes, sound_scores, decoded_classes)
        best_boxes, best_scores, best_classes = select(boxes, scores, classes)
        original_boxes = unprocess(best_boxes, original_shape)
        num_detections, out_boxes, out_scores, out_classes = finish(original_boxes, best_scores, best_classes)
        return num_detections, out_boxes, out_scores, out_classes

    raw_input = onnx.helper.make_tensor_value_info("raw", onnx.TensorProto.FLOAT, [_BATCH, "rows", "columns"])
    return _graph(back, [raw_input, _value(ORIGINAL_SHAPE), _value(SCORE_THRESHOLD)])


def _suppression(head: Head, settings: GraphSettings) -> Any:
    if not head.needs_nms:
        return _keep_all
    return by_matrix(settings) if settings.nms == "static" else by_operator(settings)


def candidate_limit(head: Head, settings: GraphSettings) -> int:
    """Best candidates per image that the graph looks at; with `multi_label`, pairs of a box and a class."""
    if settings.multi_label:
        return pair_limit(settings)
    if head.needs_nms and settings.nms == "static":
        return min(settings.static_candidates, settings.candidate_count)
    return settings.candidate_count


@graph_function
def _keep_all(boxes: Floats, scores: Floats, classes: Integers) -> tuple[Floats, Floats, Integers]:
    return op.Identity(boxes), op.Identity(scores), op.Identity(classes)


def _graph(function: Any, inputs: Sequence[onnx.ValueInfoProto]) -> onnx.ModelProto:
    """An onnxscript function as a model of its own, without functions in it, which not every backend inlines."""
    model = _plain(inline_local_functions(function.to_model_proto()))
    for value, known in zip(model.graph.input, inputs, strict=True):
        value.type.CopyFrom(known.type)
    for value in model.graph.output:
        value.ClearField("type")
    del model.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)


def _value(spec: TensorSpec) -> onnx.ValueInfoProto:
    shape: list[str | int | None] = [_BATCH, *spec.dims]
    return onnx.helper.make_tensor_value_info(spec.name, _ELEMENT_TYPES[spec.datatype], shape)


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that holds what `merge_models` compares in the form that it wants."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = IR_VERSION
    used = {node.domain for node in _all_nodes(copy.graph)} - {"", "ai.onnx"}
    kept = [entry for entry in copy.opset_import if entry.domain in used]
    del copy.opset_import[:]
    copy.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    copy.opset_import.extend(kept)
    del copy.metadata_props[:]
    return copy


def _all_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    nodes = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                nodes += _all_nodes(attribute.g)
    return nodes


def _join(first: onnx.ModelProto, second: onnx.ModelProto) -> onnx.ModelProto:
    """`first` with its only output feeding the first input of `second`."""
    io_map = [(first.graph.output[0].name, second.graph.input[0].name)]
    joined = onnx_compose.merge_models(first, second, io_map=io_map, producer_name="sightline")
    # `merge_models` lists the operator sets of both; ONNX wants one entry for each domain.
    versions = {entry.domain: entry.version for entry in joined.opset_import}
    del joined.opset_import[:]
    joined.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    return joined


def _name_interface(graph: onnx.GraphProto, settings: GraphSettings) -> None:
    """Give inputs and outputs the contract's names, types and shapes."""
    _rename(graph, list(graph.input), settings.preprocessing.network_inputs)
    _rename(graph, list(graph.output), detection_outputs(settings.max_detections))


def _rename(graph: onnx.GraphProto, values: list[onnx.ValueInfoProto], specs: tuple[TensorSpec, ...]) -> None:
    names = {value.name: spec.name for value, spec in zip(values, specs, strict=True)}
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        for position, name in enumerate(node.output):
            node.output[position] = names.get(name, name)
    for value, spec in zip(values, specs, strict=True):
        value.CopyFrom(_value(spec))
