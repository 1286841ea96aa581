"""Writes the demo network as an ONNX file whose head `sightline export` recognises."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch

from .network import HALVING, STRIDES, DemoDetector

_OPSET, _IR_VERSION = 18, 10


def write_raw_onnx(network: DemoDetector, path: Path, *, class_names: tuple[str, ...], side_px: int = 640) -> None:
    """Write `images` float32 [N, 3, side, side] (RGB, 0..1) → `output0` float32 [N, 4 + classes, A], N free.

    The metadata carries `names` ({class id: name}) and `stride`, written as Python literals.
    """
    images = torch.rand(2, 3, side_px, side_px)
    program = torch.onnx.export(
        network.eval().to(memory_format=torch.contiguous_format),
        (images,),
        dynamo=True,
        opset_version=_OPSET,
        input_names=["images"],
        output_names=["output0"],
        dynamic_shapes=({0: torch.export.Dim("N")},),
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program; it needs dynamo=True")
    model = program.model_proto
    model.ir_version = min(model.ir_version, _IR_VERSION)
    names = dict(enumerate(class_names))
    onnx.helper.set_model_props(model, {"names": repr(names), "stride": str(HALVING * max(STRIDES)), "task": "detect"})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
