"""Brings a foreign graph into the form that the served graph is composed of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, version_converter

from sightline.errors import CheckpointError
from sightline_export.graph.settings import IR_VERSION, OPSET
from sightline_export.pictures import draw_scene
from sightline_export.session import Session

_LARGEST_DIFFERENCE = 1e-3


def to_served_opset(model: onnx.ModelProto, source: Path, *, image_size: int) -> onnx.ModelProto:
    """The same network in the operators of opset `OPSET`, with weights that are not listed as inputs.

    Raises:
        CheckpointError: it cannot be converted, or the converted network gives other numbers.
    """
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if version == OPSET:
        converted = onnx.ModelProto()
        converted.CopyFrom(model)
    else:
        converted = _convert(model, source, version)
        _check_same(model, converted, source, image_size=image_size)
    converted.ir_version = IR_VERSION
    return converted


def with_float_interface(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network with float32 input and output, where they are float16."""
    graph = model.graph
    source, target = graph.input[0], graph.output[0]
    if source.type.tensor_type.elem_type == TensorProto.FLOAT16:
        wide = f"{source.name}_float32"
        graph.node.insert(0, helper.make_node("Cast", [wide], [source.name], to=TensorProto.FLOAT16))
        source.name, source.type.tensor_type.elem_type = wide, TensorProto.FLOAT
    if target.type.tensor_type.elem_type == TensorProto.FLOAT16:
        wide = f"{target.name}_float32"
        graph.node.append(helper.make_node("Cast", [target.name], [wide], to=TensorProto.FLOAT))
        target.name, target.type.tensor_type.elem_type = wide, TensorProto.FLOAT
    return model


def _convert(model: onnx.ModelProto, source: Path, version: int) -> onnx.ModelProto:
    advice = f"export it anew with opset {OPSET}"
    try:
        converted = version_converter.convert_version(model, OPSET)
        onnx.checker.check_model(converted, full_check=True)
    except (RuntimeError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise CheckpointError(f"{source} cannot be converted from opset {version}: {error}; {advice}") from error
    return converted


def _check_same(before: onnx.ModelProto, after: onnx.ModelProto, source: Path, *, image_size: int) -> None:
    """Converting is only believed when the numbers stay the same."""
    scene = draw_scene((image_size, image_size), seed=1).transpose(2, 0, 1)[None] / 255
    kind = before.graph.input[0].type.tensor_type.elem_type
    picture = scene.astype(helper.tensor_dtype_to_np_dtype(kind))
    expected, came = (Session(model).run([picture])[0].astype(np.float32) for model in (before, after))
    if expected.shape != came.shape or not np.allclose(expected, came, rtol=0, atol=_LARGEST_DIFFERENCE):
        raise CheckpointError(f"{source} gives other numbers when converted to opset {OPSET}; export it anew with that")
