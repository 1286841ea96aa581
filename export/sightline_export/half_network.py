"""A served graph whose network computes in FP16, and whose front, decoding and head stay in FP32."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError

from .agreement import agreement_bar, check_agreement
from .graph.compose import BACK
from .graph.half import to_half
from .graph.learnt import decoding
from .graph.take_apart import Parts, part_of, take_apart
from .sample import SampleFiles


def half_network(
    served: onnx.ModelProto, info: DetectorInfo, sample: SampleFiles, *, progress: Callable[[str], None]
) -> onnx.ModelProto:
    """The graph with FP16 types, after it was compared with itself in FP32 on a CPU that rounds where a GPU would.

    Args:
        served: what `compose` made, in FP32.
        info: the detector's facts.
        sample: image files to compare on.
        progress: is told what begins, and what came of it.

    Raises:
        ExportError: the network cannot be FP16.
        VerificationError: in FP16 it finds something else.
    """
    if info.quantised:
        raise ExportError("the network is quantised to 8 bits: export it as it is, with --precision fp32")
    if any(attribute.HasField("g") for node in served.graph.node for attribute in node.attribute):
        raise ExportError("the network holds loops or conditions, whose inside stays FP32: export it in fp32 or bf16")
    half = network_to_half(served, take_apart(served))
    progress(f"comparing its FP16 graph with the FP32 one on {len(sample)} images, rounded as a GPU would")
    progress(f"  {check_agreement(served, half, info, sample, agreement_bar('fp16')).summary()}")
    return half


def network_to_half(joined: onnx.ModelProto, parts: Parts) -> onnx.ModelProto:
    """A front, a network and a head in which the network alone computes in FP16.

    What is done to the pixels before it, and everything behind its last learnt layers (decoding, suppression, the way
    back to the original picture), stays in FP32.

    Args:
        joined: in FP32.
        parts: of it, or of the graph that its front and network were taken from.

    Raises:
        ExportError: the network cannot be FP16.
    """
    behind = {name for node in joined.graph.node if part_of(node) == BACK for name in node.output}
    return to_half(joined, begins=parts.pictures, without=decoding(joined.graph, parts.raw) | behind)
