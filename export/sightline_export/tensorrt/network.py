"""The graph that becomes a plan: that of the served ONNX file, with the static suppression and an FP16 network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError

from sightline.contract import PlanPrecision
from sightline.detector_info import DetectorInfo
from sightline.errors import CheckpointError, NotPlannableError
from sightline_export.graph.compose import finish
from sightline_export.graph.settings import GraphSettings
from sightline_export.graph.take_apart import take_apart
from sightline_export.half_network import network_to_half
from sightline_export.heads import HEADS, Head
from sightline_export.options import NmsKind
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.session import Session

from .plan_config import squared_info
from .plannable import check_plannable
from .squared import squared_network


def read_served(file: Path) -> onnx.ModelProto:
    """The graph of a served `model.onnx`.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        return onnx.load(file)
    except (OSError, DecodeError) as error:
        raise CheckpointError(f"{file} is no ONNX file that can be read: {error}") from error


def plan_graph(served: onnx.ModelProto, info: DetectorInfo, precision: PlanPrecision) -> onnx.ModelProto:
    """The served graph with the static suppression, for a strongly typed TensorRT network.

    Of a network of rectangles it is that of `squared`. With `fp16` the network alone computes in FP16; see
    `half_network`. A detector that was exported in FP16 is taken as it is.

    Raises:
        ExportError: it cannot become a plan.
    """
    check_plannable(info)
    if info.precision == "fp16" and precision == "fp32":
        raise NotPlannableError("it was exported in fp16: build it with --precision fp16, or export it in fp32")
    served, info = squared(served, info), squared_info(info)
    head = HEADS[info.head]
    parts = take_apart(served)
    planned = finish(parts.before_back, head, _settings(parts.before_back, info, head, nms="static"))
    if precision in (info.precision, "fp32"):
        return planned
    return network_to_half(planned, parts)


def squared(served: onnx.ModelProto, info: DetectorInfo) -> onnx.ModelProto:
    """The served graph of a network of rectangles as one that sees the whole square; others as they are.

    Raises:
        ExportError: it was not made by `compose`.
    """
    if info.preprocessing.kind != "rect":
        return served
    network, head = squared_network(take_apart(served)), HEADS[info.head]
    return finish(network, head, _settings(network, squared_info(info), head, nms="operator"))


def _settings(before_back: onnx.ModelProto, info: DetectorInfo, head: Head, *, nms: NmsKind) -> GraphSettings:
    return GraphSettings(
        preprocessing=info.preprocessing,
        pixels=ZERO_TO_ONE,  # the front is there already
        class_count=len(info.class_names),
        candidate_count=_raw_shape(before_back, info)[head.candidate_axis],
        max_detections=info.max_detections,
        iou_threshold=info.iou_threshold,
        score_floor=info.score_floor,
        nms=nms,
        multi_label=info.multi_label,
    )


def _raw_shape(before_back: onnx.ModelProto, info: DetectorInfo) -> tuple[int, ...]:
    """Dims of the raw output without its batch axis, seen when the network runs."""
    spec = info.preprocessing.images
    picture: npt.NDArray[Any] = np.full((1, *spec.dims), 114, dtype=spec.dtype)
    return tuple(Session(before_back).run([picture])[0].shape[1:])
