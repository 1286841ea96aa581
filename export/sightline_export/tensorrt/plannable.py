"""Which detectors can be plans, told without reading their graphs."""

from __future__ import annotations

from sightline.detector_info import DetectorInfo
from sightline.errors import NotPlannableError
from sightline_export.families import FAMILIES

RECIPE = 1
"""Goes up by one when `network.plan_graph` makes another graph of the same ONNX file than before, so that plans are
built anew."""


def check_plannable(info: DetectorInfo) -> None:
    """Accept a detector that can be a plan.

    Raises:
        NotPlannableError: it cannot; the message says why.
    """
    if info.preprocessing.image_size is None:
        raise NotPlannableError(
            "its pictures vary in size and its network's own suppression gives as many boxes as there happen to be, "
            "which a plan cannot; serve it with ONNX Runtime (torchvision's two-stage detectors are such)"
        )
    if info.quantised:
        raise NotPlannableError(
            "it is quantised to 8 bits for CPUs, with zero points, and TensorRT takes symmetric quantisation only: "
            "export its source with --precision fp16 or fp32 for a plan, and serve this one from its ONNX file"
        )
    heads = {family.head for family in FAMILIES.values()}
    if info.head not in heads:
        raise NotPlannableError(
            f"its head {info.head!r} is not one of {', '.join(sorted(heads))}: export it with this version of Sightline"
        )
