"""A served graph, taken apart again, to put other steps behind its network."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx.utils import Extractor

from sightline.errors import ExportError

from .compose import BACK, FRONT, NETWORK


@dataclass(frozen=True)
class Parts:
    """What `compose` joined.

    Attributes:
        before_back: front and network: `images` to the raw output, with the names that they had.
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
    strange = [node.name for node in graph.node if not node.name.startswith((FRONT, NETWORK, BACK))]
    raw = _border(graph, made_by, BACK)
    pictures = _border(graph, made_by, NETWORK)
    if strange or len(raw) != 1 or len(pictures) != 1 or not made_by[raw[0]].name.startswith(NETWORK):
        raise ExportError(
            "this graph is not one front, one network and one head behind it, as `sightline export` joins them"
            + (f" (it has a node {strange[0]!r})" if strange else "")
            + ": export the model again, with this version of Sightline"
        )
    return Parts(_extract(served, raw[0]), pictures[0], raw[0])


def _border(graph: onnx.GraphProto, made_by: dict[str, onnx.NodeProto], prefix: str) -> list[str]:
    """Names of the tensors that the part with `prefix` takes from other parts."""
    names = (name for node in graph.node if node.name.startswith(prefix) for name in node.input if name in made_by)
    return sorted({name for name in names if not made_by[name].name.startswith(prefix)})


def _extract(served: onnx.ModelProto, raw: str) -> onnx.ModelProto:
    inferred = onnx.shape_inference.infer_shapes(served, data_prop=True)
    images = inferred.graph.input[0].name
    return Extractor(inferred).extract_model([images], [raw])
