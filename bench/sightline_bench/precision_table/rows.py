"""Which models of the table of models are exported in every precision."""

from __future__ import annotations

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


def precision_rows() -> list[Row]:
    """The table's models, in its order."""
    by_name = {row.name: row for row in rows()}
    return [by_name[name] for name in _NAMES]
