"""Makes an ONNX graph of a network of Ultralytics."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from sightline_export.graph.settings import IR_VERSION, OPSET

from .quiet import import_ultralytics


def trace(model: Any, *, image_size: int, max_detections: int) -> onnx.ModelProto:
    """The network as ONNX, with a free batch axis; the network is changed by it.

    Args:
        model: the detector, for evaluation.
        image_size: side of the square input, in pixels.
        max_detections: the most that a head without suppression gives.
    """
    import torch

    model = model.fuse()
    _prepare(model, image_size=image_size, max_detections=max_detections)
    # Two pictures, so that a batch of one is nowhere taken for a constant.
    pictures = torch.zeros(2, 3, image_size, image_size)
    with torch.no_grad(), _without_warnings(), tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / "raw.onnx"
        model(pictures)  # lets the head compute its anchors once, which then are constants
        torch.onnx.export(
            model,
            (pictures,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        )
        traced = onnx.load(file)
    traced.ir_version = IR_VERSION
    return traced


def _prepare(model: Any, *, image_size: int, max_detections: int) -> None:
    """What Ultralytics' own exporter sets before it traces."""
    with_split = import_ultralytics().nn.modules.C2f
    head = model.model[-1]
    head.export, head.format, head.dynamic, head.xyxy, head.shape = True, "onnx", False, False, None
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


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Tracing warns of every Python number in the network, and of the tracer's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
