"""Greedy non-maximum suppression within each class, in two forms that give the same boxes.

Both take boxes [N, A, 4], scores [N, A] (0 for what is dropped already) and classes [N, A], and give boxes, scores
and classes of the same meaning in which the suppressed have score 0.
"""

from __future__ import annotations

import math
from typing import Any

from sightline_export.script import FLOAT, Floats, Integers, graph_function, op

from .settings import GraphSettings

# How far beyond the picture a box may reach and still be told from those of other classes, in pixels.
_MARGIN = 1024


def by_operator(settings: GraphSettings) -> Any:
    """ONNX's NonMaxSuppression for one class, over boxes that are moved apart by class.

    The classes' places form a square grid, not a line: coordinates stay below 2^15 for 80 classes, where FP32 still
    tells 1/512 pixel apart, and not a sixteenth.
    """
    columns = float(math.ceil(math.sqrt(settings.class_count)))
    lowest, highest = float(-_MARGIN), float(max(settings.preprocessing.picture_hw) + _MARGIN)
    pitch = highest - lowest + 1.0
    max_detections, iou_threshold = settings.max_detections, settings.iou_threshold

    @graph_function
    def suppress(boxes: Floats, scores: Floats, classes: Integers) -> tuple[Floats, Floats, Integers]:
        column_count = op.Constant(value_float=columns)
        place = op.Unsqueeze(op.Cast(classes, to=FLOAT), op.Constant(value_ints=[2]))
        row = op.Floor(place / column_count)
        column = place - row * column_count
        near = op.Clip(boxes, op.Constant(value_float=lowest), op.Constant(value_float=highest))
        moved = near + op.Concat(column, row, column, row, axis=-1) * op.Constant(value_float=pitch)
        selected = op.NonMaxSuppression(
            moved,
            op.Unsqueeze(scores, op.Constant(value_ints=[1])),
            op.Constant(value_ints=[max_detections]),
            op.Constant(value_floats=[iou_threshold]),
            op.Constant(value_floats=[0.0]),
        )
        image_and_box = op.Gather(selected, op.Constant(value_ints=[0, 2]), axis=1)
        kept_scores = op.GatherND(scores, image_and_box)
        return boxes, op.ScatterND(scores * op.Constant(value_float=0.0), image_and_box, kept_scores), classes

    return suppress


def by_matrix(settings: GraphSettings) -> Any:
    """The static form: every shape is known when the graph is built, but for the batch.

    The best candidates of each image (at most `static_candidates`) are compared with each other. A box stays if no
    better box that stays overlaps it; started from "all stay", each round decides rightly for every box whose chain
    of suppressors is one longer. After `STATIC_ROUNDS` rounds the result is that of greedy suppression unless a
    chain is longer than that or an image has more candidates.
    """
    count = min(settings.static_candidates, settings.candidate_count)
    overlapping = _overlapping(count=count, iou_threshold=settings.iou_threshold)

    @graph_function
    def suppress(boxes: Floats, scores: Floats, classes: Integers) -> tuple[Floats, Floats, Integers]:
        best_scores, index = op.TopK(scores, op.Constant(value_ints=[count]), axis=1, largest=1, sorted=1)
        best_boxes = op.GatherND(boxes, op.Unsqueeze(index, op.Constant(value_ints=[2])), batch_dims=1)
        best_classes = op.GatherElements(classes, index, axis=1)
        drops = overlapping(best_boxes, best_classes)
        all_stay = op.Cast(best_scores > op.Constant(value_float=0.0), to=FLOAT)
        stays = _four_rounds(drops, _four_rounds(drops, _four_rounds(drops, _four_rounds(drops, all_stay))))
        return best_boxes, best_scores * stays, best_classes

    return suppress


@graph_function
def _round(drops: Floats, stays: Floats) -> Floats:
    column = op.Constant(value_ints=[2])
    droppers = op.Squeeze(op.MatMul(drops, op.Unsqueeze(stays, column)), column)
    return op.Cast(droppers < op.Constant(value_float=0.5), to=FLOAT)


@graph_function
def _four_rounds(drops: Floats, stays: Floats) -> Floats:
    return _round(drops, _round(drops, _round(drops, _round(drops, stays))))


def _overlapping(*, count: int, iou_threshold: float) -> Any:
    """Function that gives float [N, K, K]: 1 where the column's box is better than the row's and may drop it."""

    @graph_function
    def overlapping(boxes: Floats, classes: Integers) -> Floats:
        rows, columns = op.Constant(value_ints=[2]), op.Constant(value_ints=[1])
        zero = op.Constant(value_float=0.0)
        low, high = boxes[:, :, 0:2], boxes[:, :, 2:4]
        sides = high - low
        area = op.ReduceProd(sides, rows, keepdims=0)
        shared_low = op.Max(op.Unsqueeze(low, rows), op.Unsqueeze(low, columns))
        shared_high = op.Min(op.Unsqueeze(high, rows), op.Unsqueeze(high, columns))
        shared = op.ReduceProd(op.Max(shared_high - shared_low, zero), op.Constant(value_ints=[3]), keepdims=0)
        union = op.Unsqueeze(area, rows) + op.Unsqueeze(area, columns) - shared
        # Two boxes without area have neither a union nor an overlap.
        iou = shared / op.Where(union > zero, union, op.Constant(value_float=1.0))
        same_class = op.Equal(op.Unsqueeze(classes, rows), op.Unsqueeze(classes, columns))
        place = op.Range(op.Constant(value_int=0), op.Constant(value_int=count), op.Constant(value_int=1))
        better = op.Unsqueeze(place, op.Constant(value_ints=[0])) < op.Unsqueeze(place, op.Constant(value_ints=[1]))
        drops = op.And(op.And(iou > op.Constant(value_float=iou_threshold), same_class), better)
        return op.Cast(drops, to=FLOAT)

    return overlapping
