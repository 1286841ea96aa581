"""Makes an ONNX graph of a network in torch."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from sightline_export.graph.settings import IR_VERSION, OPSET


def trace(model: Any, *, image_size: int, any_size: bool = False) -> onnx.ModelProto:
    """The network as ONNX, with a free batch axis.

    Args:
        model: float32 [N, 3, S, S] to one tensor, for evaluation.
        image_size: side of the square input, in pixels.
        any_size: leave height and width free too; the model must compute what follows from them.
    """
    import torch

    # Two pictures, so that a batch of one is nowhere taken for a constant.
    pictures = torch.zeros(2, 3, image_size, image_size)
    with torch.no_grad(), _without_warnings():
        model(pictures)  # lets a head compute its anchors once, which then are constants
    free_axes = {0: "batch", 2: "height", 3: "width"} if any_size else {0: "batch"}
    return trace_along(model, pictures, free_axes=free_axes)


def trace_along(model: Any, pictures: Any, *, free_axes: Mapping[int, str]) -> onnx.ModelProto:
    """What the network does with some pictures, as ONNX.

    Args:
        model: float32 [N, 3, H, W] to one tensor [N, ...], for evaluation.
        pictures: such a tensor, which shows the way.
        free_axes: names of the axes of the input that stay free, by number; the others are as in `pictures`.
    """
    import torch

    free_of_output = {axis: name for axis, name in free_axes.items() if axis == 0}
    with torch.no_grad(), _without_warnings(), tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / "raw.onnx"
        torch.onnx.export(
            model,
            (pictures,),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": dict(free_axes), "output0": free_of_output},
        )
        traced = onnx.load(file)
    traced.ir_version = IR_VERSION
    return traced


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Tracing warns of every Python number in the network, and of the tracer's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
