"""Makes an ONNX graph of a network of Ultralytics."""

from __future__ import annotations

from typing import Any

import onnx

from .quiet import import_ultralytics
from .trace import trace as plain_trace


def trace(model: Any, *, image_size: int, max_detections: int, any_size: bool) -> onnx.ModelProto:
    """The network as ONNX, with a free batch axis; the network is changed by it.

    Args:
        model: the detector, for evaluation.
        image_size: side of the square input, in pixels.
        max_detections: the most that a head without suppression gives.
        any_size: leave height and width free too.
    """
    model = model.fuse()
    _prepare(model, image_size=image_size, max_detections=max_detections, any_size=any_size)
    return plain_trace(model, image_size=image_size, any_size=any_size)


def _prepare(model: Any, *, image_size: int, max_detections: int, any_size: bool) -> None:
    """What Ultralytics' own exporter sets before it traces."""
    with_split = import_ultralytics().nn.modules.C2f
    head = model.model[-1]
    head.export, head.format, head.dynamic, head.xyxy, head.shape = True, "onnx", any_size, False, None
    # A decoder of queries has as many as it has, whatever the size.
    anchors = sum((image_size // int(stride)) ** 2 for stride in model.stride)
    head.max_det = min(max_detections, getattr(head, "num_queries", anchors))
    for layer in model.modules():
        if isinstance(layer, with_split):
            layer.forward = layer.forward_split
        elif hasattr(layer, "inplace"):
            layer.inplace = True
        if not hasattr(layer, "recompute_scale_factor") and type(layer).__name__ == "Upsample":
            layer.recompute_scale_factor = None  # absent from checkpoints that torch 1.10 and older saved
    for parameter in model.parameters():
        parameter.requires_grad = False
