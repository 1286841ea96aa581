"""Which models of the table of models are exported in every precision, and who is in the group of five."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.contract import ExportPrecision
from sightline_bench.models_table.rows import Row, rows

_NAMES = (
    "yolov5n",
    "yolov8n",
    "detecto",
    "original_yolov5n",
    "yolo11n_random",
    "yolo26n_end_to_end",
    "rtdetr_resnet50",
    "ssdlite320_mobilenet_v3_large",
)
"""Those with weights that have learnt something, and one with random weights for each layout of raw outputs."""

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


def precision_rows() -> list[Row]:
    """The table's models, in its order."""
    by_name = {row.name: row for row in rows()}
    return [by_name[name] for name in _NAMES]
