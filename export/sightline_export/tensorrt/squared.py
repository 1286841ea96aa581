"""Plans see squares, also where the served network sees rectangles.

Rectangles vary in size, which would be a range of shapes in a plan; that is not built. But a network that takes
rectangles of any aspect takes the square too, so its plan does, behind a letterbox.
"""

from __future__ import annotations

import onnx
from onnx.utils import Extractor

from sightline.errors import ExportError
from sightline_export.graph.compose import FRONT
from sightline_export.graph.take_apart import Parts, part_of


def squared_network(parts: Parts) -> onnx.ModelProto:
    """`Parts.before_back` of a network of rectangles, which takes the whole square: without `contract.RECTANGLE`.

    Raises:
        ExportError: no rectangle is cut out of its pictures.
    """
    network = onnx.ModelProto()
    network.CopyFrom(parts.before_back)
    cuts = [node for node in network.graph.node if node.op_type == "Slice" and part_of(node) == FRONT]
    if len(cuts) != 1:
        raise ExportError(
            f"its graph cuts {len(cuts)} rectangles out of a picture instead of one: export it again, with this "
            "version of Sightline"
        )
    whole, cut = cuts[0].input[0], cuts[0].output[0]
    for node in network.graph.node:
        for index, name in enumerate(node.input):
            if name == cut:
                node.input[index] = whole
    # Sizes that were free are those of the square now.
    del network.graph.value_info[:]
    pictures = network.graph.input[0].name
    return Extractor(onnx.shape_inference.infer_shapes(network)).extract_model([pictures], [parts.raw])
