"""Inputs and outputs of an ONNX graph that somebody else made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from sightline.errors import CheckpointError, UnknownHeadError

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
_WANTED = "allowed is one input, float [N, 3, height, width] (NCHW, RGB, 0 to 1) with equal height and width"


@dataclass(frozen=True)
class PictureInput:
    """The graph's only input.

    Attributes:
        value: as it stands in the graph.
        batched: whether it takes any number of pictures; else it takes one.
        image_size: height and width in pixels, or None where they are free.
    """

    value: onnx.ValueInfoProto
    batched: bool
    image_size: int | None

    def fix_size(self, image_size: int) -> None:
        """Write the size into the graph."""
        for dim in self.value.type.tensor_type.shape.dim[2:]:
            dim.dim_value = image_size


def picture_input(model: onnx.ModelProto, source: Path) -> PictureInput:
    """The only input of the graph, which is made to list no weights among its inputs.

    Raises:
        CheckpointError: several inputs, or none that takes pictures as they come.
    """
    value = _only_input(model.graph, source)
    kind = value.type.tensor_type
    dims = [dim.dim_value for dim in kind.shape.dim]
    came = f"{source}: input {value.name!r} is {onnx.TensorProto.DataType.Name(kind.elem_type)} {_shown(value)}"
    if kind.elem_type not in _FLOATS or len(dims) != 4:
        raise CheckpointError(f"{came}; {_WANTED}. Export it anew without its own preprocessing")
    batch, channels, height, width = dims
    if channels not in (0, 3):
        layout = "NHWC" if width == 3 else f"{channels} channels"
        raise CheckpointError(f"{came}, which is {layout}; {_WANTED}. Export it anew in that layout")
    if batch > 1:
        raise CheckpointError(f"{came}, fixed to batches of {batch}; export it anew with a free batch, or with 1")
    if height != width:
        raise CheckpointError(f"{came}, which is not square; {_WANTED}")
    return PictureInput(value, batched=batch == 0, image_size=height or None)


def isolate_prediction(model: onnx.ModelProto, source: Path) -> None:
    """Leave the graph with its one output of three axes; feature maps of five axes beside it go.

    Raises:
        UnknownHeadError: none or several have three axes, or one of four axes suggests masks.
    """
    outputs = list(model.graph.output)
    ranks = {output.name: len(output.type.tensor_type.shape.dim) for output in outputs}
    shown = ", ".join(f"{output.name} {_shown(output)}" for output in outputs)
    if 4 in ranks.values():
        raise UnknownHeadError(f"{source} has the outputs {shown}; one with four axes belongs to masks, not to boxes")
    # A graph may leave the shape of its only output open.
    candidates = outputs if len(outputs) == 1 else [output for output in outputs if ranks[output.name] == 3]
    if len(candidates) != 1:
        raise UnknownHeadError(
            f"{source} has the outputs {shown}; one with three axes is needed. Export it anew without its own NMS"
        )
    chosen = onnx.ValueInfoProto()
    chosen.CopyFrom(candidates[0])
    del model.graph.output[:]
    model.graph.output.append(chosen)


def _only_input(graph: onnx.GraphProto, source: Path) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        shown = ", ".join(f"{value.name} {_shown(value)}" for value in inputs) or "none"
        raise CheckpointError(f"{source} has the inputs {shown}; {_WANTED}")
    kept = onnx.ValueInfoProto()
    kept.CopyFrom(inputs[0])
    del graph.input[:]
    graph.input.append(kept)
    return graph.input[0]


def _shown(value: onnx.ValueInfoProto) -> str:
    dims = value.type.tensor_type.shape.dim
    return "[" + ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims) + "]"
