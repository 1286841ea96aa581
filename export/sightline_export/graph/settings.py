"""The numbers that are fixed in a graph."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.preprocessing import Preprocessing
from sightline_export.options import NmsKind
from sightline_export.pixels import PixelFormat

OPSET = 18
"""Of every served graph; Triton 24.10 reads up to 21."""
IR_VERSION = 10

STATIC_CANDIDATES = 1024
"""Best candidates per image that the static suppression looks at; the rest is dropped."""
STATIC_ROUNDS = 16
"""Rounds of the static suppression; exact while no chain of boxes, each dropped by the one before, is longer."""
MOST_PAIRS = 30_000
"""Best pairs of a box and a class per image that a graph with `multi_label` looks at, as Ultralytics' `val` does."""
STATIC_PAIRS = 2048
"""The same for the static suppression, which compares each with each; TensorRT's TopK gives 3,840 at the most.

Of 100 images of COCO with yolov8n, 17 have more pairs above 0.001, and one got other detections than without a limit.
"""


@dataclass(frozen=True, kw_only=True)
class GraphSettings:
    """Numbers that are fixed in a graph.

    Attributes:
        preprocessing: how pictures were brought to size.
        pixels: what the network takes.
        class_count: number of classes.
        candidate_count: A, the candidates per image in the raw output.
        max_detections: output slots per image.
        iou_threshold: IoU above which the weaker box of the same class is dropped.
        score_floor: lowest effective score threshold.
        nms: how it is dropped.
        static_candidates: see `STATIC_CANDIDATES`.
        multi_label: whether every class of a box is a candidate, instead of its best one.
    """

    preprocessing: Preprocessing
    pixels: PixelFormat
    class_count: int
    candidate_count: int
    max_detections: int
    iou_threshold: float
    score_floor: float
    nms: NmsKind
    static_candidates: int = STATIC_CANDIDATES
    multi_label: bool = False
