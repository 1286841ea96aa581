"""Puts the steps around a raw network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import onnx
from onnx import compose as onnx_compose
from onnx.inliner import inline_local_functions

from sightline.contract import (
    ORIGINAL_SHAPE,
    RECTANGLE,
    SCORE_THRESHOLD,
    TensorSpec,
    detection_outputs,
)
from sightline_export.heads import Head
from sightline_export.script import Floats, Integers, Integers32, graph_function, op

from .multi_label import pair_limit, pairing
from .rectangle import back_in_square, completed, cropping, least_candidates
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
    return finish(_join(_front(settings), network), head, settings)


def _front(settings: GraphSettings) -> onnx.ModelProto:
    """What comes before the network."""
    images = settings.preprocessing.images
    if settings.preprocessing.kind != "rect":
        return onnx_compose.add_prefix(_graph(fronting(settings.pixels, images), [_value(images)]), FRONT)
    cropped = replace(images, datatype="FP32", dims=(-1, -1, 3))
    crop = _graph(cropping(settings.preprocessing), [_value(images), _value(RECTANGLE)])
    scale = _graph(fronting(settings.pixels, cropped), [_value(cropped)])
    return _join(onnx_compose.add_prefix(crop, FRONT), onnx_compose.add_prefix(scale, f"{FRONT}cropped_"))


def finish(network: onnx.ModelProto, head: Head, settings: GraphSettings) -> onnx.ModelProto:
    """The served graph of a front and a network that are joined already: `postprocess` behind them."""
    joined = _join(network, onnx_compose.add_prefix(postprocess(head, settings), BACK))
    _name_interface(joined.graph, settings)
    onnx.checker.check_model(joined, full_check=True)
    return joined


def postprocess(head: Head, settings: GraphSettings) -> onnx.ModelProto:
    """The part behind the network alone: raw output, original_shape, score_threshold to the contract's outputs.

    Of a network of rectangles it takes `contract.RECTANGLE` too, last.
    """
    preprocessing = settings.preprocessing
    find, slots = _finding(head, settings)
    unprocess = to_original(preprocessing)
    finish = finishing(missing=settings.max_detections - slots)

    @graph_function
    def back(
        raw: Floats, original_shape: Integers, score_threshold: Floats
    ) -> tuple[Integers32, Floats, Floats, Integers32]:
        boxes, scores, classes = find(raw, score_threshold)
        num_detections, out_boxes, out_scores, out_classes = finish(unprocess(boxes, original_shape), scores, classes)
        return num_detections, out_boxes, out_scores, out_classes

    raw_input = onnx.helper.make_tensor_value_info("raw", onnx.TensorProto.FLOAT, [_BATCH, "rows", "columns"])
    inputs = [raw_input, _value(ORIGINAL_SHAPE), _value(SCORE_THRESHOLD)]
    if preprocessing.kind != "rect":
        return _graph(back, inputs)
    move = back_in_square(preprocessing)

    @graph_function
    def back_from_rectangle(
        raw: Floats, original_shape: Integers, score_threshold: Floats, rectangle: Integers32
    ) -> tuple[Integers32, Floats, Floats, Integers32]:
        found, scores, classes = find(raw, score_threshold)
        boxes = unprocess(move(found, rectangle), original_shape)
        num_detections, out_boxes, out_scores, out_classes = finish(boxes, scores, classes)
        return num_detections, out_boxes, out_scores, out_classes

    return _graph(back_from_rectangle, [*inputs, _value(RECTANGLE)])


def _finding(head: Head, settings: GraphSettings) -> tuple[Any, int]:
    """Function that gives each image's best detections in the network's pixels, best first, and how many slots it has.

    (raw, threshold [N, 1]) to (boxes [N, K, 4], scores [N, K], classes [N, K]).
    """
    of_raw = settings
    slots = min(settings.max_detections, candidate_limit(head, settings))
    if settings.multi_label:
        decode, settings = pairing(head, settings)
    else:
        decode = head.decoding(settings.candidate_count)
    relied_on = of_raw.candidate_count if settings.multi_label else max(slots, _candidates_compared(head, settings))
    if least_candidates(head, of_raw) < relied_on:
        decode = completed(decode, head, wanted=relied_on)
    threshold = thresholding(score_floor=settings.score_floor)
    suppress = _suppression(head, settings)
    select = selecting(count=slots)

    @graph_function
    def find(raw: Floats, score_threshold: Floats) -> tuple[Floats, Floats, Integers]:
        decoded_boxes, decoded_scores, decoded_classes = decode(raw)
        sound_boxes, sound_scores = threshold(decoded_boxes, decoded_scores, score_threshold)
        boxes, scores, classes = suppress(sound_boxes, sound_scores, decoded_classes)
        best_boxes, best_scores, best_classes = select(boxes, scores, classes)
        return best_boxes, best_scores, best_classes

    return find, slots


def _suppression(head: Head, settings: GraphSettings) -> Any:
    if not head.needs_nms:
        return _keep_all
    return by_matrix(settings) if settings.nms == "static" else by_operator(settings)


def candidate_limit(head: Head, settings: GraphSettings) -> int:
    """Best candidates per image that the graph looks at; with `multi_label`, pairs of a box and a class."""
    if settings.multi_label:
        return pair_limit(settings)
    return _candidates_compared(head, settings) or settings.candidate_count


def _candidates_compared(head: Head, settings: GraphSettings) -> int:
    """Candidates that the static suppression takes; 0 where there is no such."""
    if head.needs_nms and settings.nms == "static":
        return min(settings.static_candidates, settings.candidate_count)
    return 0


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
    # A length of -1 would be taken for a number where shapes are inferred.
    shape: list[str | int | None] = [_BATCH, *(dim if dim >= 0 else None for dim in spec.dims)]
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
    """Give inputs and outputs the contract's names, types and shapes, in its order."""
    inputs, outputs = settings.preprocessing.network_inputs, detection_outputs(settings.max_detections)
    # Front and back may take the same one.
    names = {value.name: value.name.removeprefix(FRONT).removeprefix(BACK) for value in graph.input}
    assert set(names.values()) == {spec.name for spec in inputs}, names
    names |= {value.name: spec.name for value, spec in zip(graph.output, outputs, strict=True)}
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)
        for position, name in enumerate(node.output):
            node.output[position] = names.get(name, name)
    for values, specs in ((graph.input, inputs), (graph.output, outputs)):
        del values[:]
        values.extend(_value(spec) for spec in specs)
