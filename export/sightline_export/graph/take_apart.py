"""A served graph, taken apart again, to put other steps behind its network."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx.utils import Extractor

from sightline.contract import detection_outputs
from sightline.errors import ExportError

from .compose import BACK, FRONT, NETWORK

_OUTPUTS = frozenset(spec.name for spec in detection_outputs(1))


@dataclass(frozen=True)
class Parts:
    """What `compose` joined.

    Attributes:
        before_back: front and network: `images`, and the rectangle where there is one, to the raw output, with the
            names that they had.
        pictures: name of the tensor between front and network.
        raw: name of the raw output.
    """

    before_back: onnx.ModelProto
    pictures: str
    raw: str


def take_apart(served: onnx.ModelProto) -> Parts:
    """The parts of a graph that `compose` made.

    Raises:
        ExportError: it was not made so.
    """
    graph = served.graph
    made_by = {name: node for node in graph.node for name in node.output}
    strange = [node.output[0] for node in graph.node if not part_of(node)]
    raw = _border(graph, made_by, BACK)
    pictures = _border(graph, made_by, NETWORK)
    if strange or len(raw) != 1 or len(pictures) != 1 or part_of(made_by[raw[0]]) != NETWORK:
        raise ExportError(
            "this graph is not one front, one network and one head behind it, as `sightline export` joins them"
            + (f" ({strange[0]!r} belongs to none of them)" if strange else "")
            + ": export the model again, with this version of Sightline"
        )
    return Parts(_extract(served, raw[0]), pictures[0], raw[0])


def part_of(node: onnx.NodeProto) -> str:
    """`FRONT`, `NETWORK` or `BACK`, or nothing where a node belongs to none of them.

    What it gives tells it, as a node need not have a name.
    """
    if node.output[0] in _OUTPUTS:
        return BACK
    return next((prefix for prefix in (FRONT, NETWORK, BACK) if node.output[0].startswith(prefix)), "")


def _border(graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto], prefix: str) -> list[str]:
    """Names of the tensors that the part with `prefix` takes from other parts."""
    names = (name for node in graph.node if part_of(node) == prefix for name in node.input if name in made_by)
    return sorted({name for name in names if part_of(made_by[name]) != prefix})


def _extract(served: onnx.ModelProto, raw: str) -> onnx.ModelProto:
    inferred = onnx.shape_inference.infer_shapes(served, data_prop=True)
    taken = {name for node in inferred.graph.node if part_of(node) != BACK for name in node.input}
    inputs = [value.name for value in inferred.graph.input if value.name in taken]
    return Extractor(inferred).extract_model(inputs, [raw])
