"""The group of five: detectors of several sorts and precisions that see pictures alike, from the test data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sightline.contract import ExportPrecision
from sightline_export.exporter import export
from sightline_export.groups import install_group
from sightline_export.options import ExportOptions

from .photos import halve

GROUP = "group of five"
"""Key of its results."""


@dataclass(frozen=True)
class Member:
    """A detector of the group of five.

    Attributes:
        source: a path below the folder of test data.
        precision: what it is exported in.
    """

    source: str
    precision: ExportPrecision = "fp32"


MEMBERS = {
    "yolov5n": Member("weights/yolov5n.pt"),
    "yolov8n": Member("weights/yolov8n.pt"),
    "yolov8n_quantised": Member("onnx/yolov8n_int8_qdq_opset11.onnx"),
    "yolo26n_quantised": Member("onnx/yolo26n_int8_dynamic_e2e.onnx"),
    "yolov8n_int8": Member("weights/yolov8n.pt", "int8"),
}
"""Anchors with objectness, without, no NMS at all; fp32, quantised by others, quantised here."""


def install_five(data: Path, repository: Path, *, group: str, tell: Callable[[str], None]) -> None:
    """Export the five and make the group.

    They do not go through the gate: the tables of models and of precisions judge such exports.

    Args:
        data: folder with weights/, onnx/ and coco/.
        repository: folder of models, made if it is missing.
        group: the group's name.
        tell: is told each member.

    Raises:
        SightlineError: one cannot be exported.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-five-") as folder:
        photos = halve(data, Path(folder))
        for name, member in MEMBERS.items():
            tell(f"{group}: {name}")
            export(
                data / member.source,
                repository=repository,
                chain=None,
                calibration=photos.calibration if member.precision == "int8" else None,
                name=name,
                # Files among them are fixed to the square: where all see it, a picture is decoded once.
                options=ExportOptions(precision=member.precision, rect=False),
            )
    install_group(repository, group, list(MEMBERS))
