"""Makes an ONNX graph of a network in torch."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from sightline_export.graph.settings import IR_VERSION, OPSET


def trace(model: Any, *, image_size: int) -> onnx.ModelProto:
    """The network as ONNX, with a free batch axis.

    Args:
        model: float32 [N, 3, S, S] to one tensor, for evaluation.
        image_size: side of the square input, in pixels.
    """
    import torch

    # Two pictures, so that a batch of one is nowhere taken for a constant.
    pictures = torch.zeros(2, 3, image_size, image_size)
    with torch.no_grad(), _without_warnings(), tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        file = Path(folder) / "raw.onnx"
        model(pictures)  # lets a head compute its anchors once, which then are constants
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


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Tracing warns of every Python number in the network, and of the tracer's age."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
