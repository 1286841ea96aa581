"""Joins what was found in overlapping tiles of a picture into what there is in the picture.

A tile's border cuts objects, so the same object can be there as a whole in one tile and as a piece in the next, as a
whole in two, or in pieces only. How that is told apart, with T the rectangle that a view (a tile, or the whole
picture) shows, and b a box in it:

    inner side   a side of T that is not the picture's own
    cut          b comes within `MARGIN` of T's side to an inner side
    in the clear b lies in T, further than that from every inner side
    agreement    A(b1, b2) = IoU(b1 ∩ V, b2 ∩ V), V = T1 ∩ T2: how alike two boxes are where both views look

1.  A cut box that lies in the clear of another tile is dropped. That tile sees everything of the object that the
    first one sees, and what is behind the border as well: its verdict counts, also where it found nothing.
2.  A box of the whole picture that lies in the clear of a tile is dropped likewise: the tile sees it larger.
3.  Of two boxes of one class from different views with A > `SAME`, one goes: dropped ones before cut ones, those before
    whole ones, then those of the whole picture, then the one with the lower score. A cut box goes whatever its class
    if its score is the lower: a piece looks like something else more easily than a whole, but is not always the one
    that is mistaken.
4.  Cut boxes of one class from different tiles with A > `SAME` that are left over belong to an object that no view
    shows whole. They become one box around them all.
5.  Each object's score is the best that any view gave it, and only then is the threshold applied. So views are asked
    for fainter objects than are wanted (`FAINTEST`): what one of them finds just above the threshold is in another one,
    where it lies differently on the network's grid, often just below.

Boxes of one view never suppress each other here: the network's own suppression has settled that. Known from elsewhere
is suppression across slices with IoU, or intersection over the smaller box (SAHI: Akyon, Altinuc, Temizel, "Slicing
Aided Hyper Inference and Fine-tuning for Small Object Detection", ICIP 2022, arXiv:2202.06934). That has one threshold
for pieces and for neighbours: it takes a small object before a large one of its class for a piece of it, and keeps
whichever of piece and whole has the better score. Comparing only where both views look needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightline.boxes import FloatArray, areas, intersections
from sightline.detections import Detections

MARGIN = 1 / 128
"""Of a tile's side: boxes of cut objects end that close to the border."""
SAME = 0.5
"""Agreement above which two boxes are of the same object."""
FAINTEST = 0.5
"""Of the score that is wanted: what views are asked for."""

Mask = npt.NDArray[np.bool_]
_WHOLE_IN_TILE, _IN_PICTURE, _CUT, _DROPPED = 0, 1, 2, 3


@dataclass(frozen=True)
class View:
    """What was found in one part of a picture.

    Attributes:
        rectangle_xyxy: the part, in pixels of the picture.
        found: the objects, their boxes in pixels of the picture too.
    """

    rectangle_xyxy: tuple[int, int, int, int]
    found: Detections


def join(
    views: Sequence[View], *, class_names: tuple[str, ...], image_size_hw: tuple[int, int], score_threshold: float
) -> Detections:
    """The objects of the whole picture, best first.

    Args:
        views: tiles, and perhaps the whole picture, with what they show down to `FAINTEST` x `score_threshold`.
        class_names: every class the detector knows.
        image_size_hw: height and width of the picture in pixels.
        score_threshold: lowest score of an object, 0 to 1.
    """
    seen = _Seen.of(views, image_size_hw)
    seen = replace(seen, rank=np.where(_better_seen_elsewhere(seen, views, image_size_hw), _DROPPED, seen.rank))
    boxes, scores, classes = _pieces_joined(_suppressed_across_views(seen))
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= score_threshold]
    return Detections(boxes[order], scores[order], classes[order], class_names, image_size_hw)


@dataclass(frozen=True)
class _Seen:
    """Boxes of all views: (N, 4), (N,), (N,); their views' rectangles (N, 4) and numbers (N,), and their rank (N,)."""

    boxes: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32]
    rectangles: FloatArray
    views: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]

    @classmethod
    def of(cls, views: Sequence[View], image_size_hw: tuple[int, int]) -> _Seen:
        counts = [len(view.found) for view in views]
        rectangles = np.repeat(np.array([view.rectangle_xyxy for view in views], np.float32), counts, axis=0)
        boxes = np.concatenate([view.found.boxes_xyxy for view in views])
        rank = np.where(_near_inner_side(boxes, rectangles, image_size_hw), _CUT, _WHOLE_IN_TILE)
        rank[_is_picture(rectangles, image_size_hw)] = _IN_PICTURE
        return cls(
            boxes,
            np.concatenate([view.found.scores for view in views]),
            np.concatenate([view.found.class_ids for view in views]),
            rectangles,
            np.repeat(np.arange(len(views)), counts),
            rank,
        )

    def only(self, keep: Mask | npt.NDArray[np.int64]) -> _Seen:
        return _Seen(
            self.boxes[keep],
            self.scores[keep],
            self.classes[keep],
            self.rectangles[keep],
            self.views[keep],
            self.rank[keep],
        )

    def agreement(self, one: int, others: npt.NDArray[np.int64]) -> FloatArray:
        """Of one box with others, (K,): 0 where they are of the same view."""
        common_low = np.maximum(self.rectangles[one, :2], self.rectangles[others, :2])
        common_high = np.minimum(self.rectangles[one, 2:], self.rectangles[others, 2:])
        common = np.concatenate([common_low, common_high], axis=1)
        first, second = _inside(self.boxes[[one]], common), _inside(self.boxes[others], common)
        shared = areas(_inside(first, second))
        union = areas(first) + areas(second) - shared
        agreement: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
        return np.where(self.views[others] == self.views[one], 0, agreement)


def _better_seen_elsewhere(seen: _Seen, views: Sequence[View], image_size_hw: tuple[int, int]) -> Mask:
    """Rules 1 and 2."""
    better = np.zeros(len(seen.scores), np.bool_)
    for number, view in enumerate(views):
        rectangle = np.array([view.rectangle_xyxy], np.float32)
        if _is_picture(rectangle, image_size_hw)[0]:
            continue
        inside = intersections(seen.boxes, rectangle)[:, 0] >= areas(seen.boxes) * (1 - 1e-4)
        clear = inside & ~_near_inner_side(seen.boxes, rectangle, image_size_hw)
        better |= clear & (seen.rank != _WHOLE_IN_TILE) & (seen.views != number)
    return better


def _suppressed_across_views(seen: _Seen) -> _Seen:
    """Rule 3, and rule 5 for it; what was dropped before goes as well."""
    order = np.lexsort((-seen.scores, seen.rank))
    scores = seen.scores.copy()
    kept: list[int] = []
    while order.size and seen.rank[order[0]] < _CUT:
        best, order = order[0], order[1:]
        kept.append(int(best))
        alike = seen.classes[order] == seen.classes[best]
        piece = (seen.rank[order] >= _CUT) & (seen.scores[order] < scores[best])
        same = seen.agreement(int(best), order) > SAME
        scores[best] = scores[order[same & alike]].max(initial=scores[best])
        order = order[~(same & (alike | piece))]
    # Two pieces are no duplicates: each has something of the object that the other has not.
    pieces = order[seen.rank[order] == _CUT]
    return replace(seen, scores=scores).only(np.array([*kept, *pieces.tolist()], np.int64))


def _pieces_joined(
    seen: _Seen,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """Rule 4: boxes, scores and classes of all objects."""
    group = np.arange(len(seen.scores))
    pieces = np.flatnonzero(seen.rank == _CUT)
    for piece in pieces.tolist():
        alike = pieces[seen.classes[pieces] == seen.classes[piece]]
        same = alike[seen.agreement(piece, alike) > SAME]
        joined = np.isin(group, group[[piece, *same.tolist()]])
        group[joined] = group[joined].min()
    _, number = np.unique(group, return_inverse=True)
    count = int(number.max(initial=-1)) + 1
    low, high = np.full((count, 2), np.inf, np.float32), np.full((count, 2), -np.inf, np.float32)
    scores, classes = np.zeros(count, np.float32), np.zeros(count, np.int32)
    np.minimum.at(low, number, seen.boxes[:, :2])
    np.maximum.at(high, number, seen.boxes[:, 2:])
    np.maximum.at(scores, number, seen.scores)
    classes[number] = seen.classes
    return np.concatenate([low, high], axis=1), scores, classes


def _is_picture(rectangles: FloatArray, image_size_hw: tuple[int, int]) -> Mask:
    height, width = image_size_hw
    same: Mask = (rectangles == np.array([0, 0, width, height])).all(axis=1)
    return same


def _near_inner_side(boxes: FloatArray, rectangles: FloatArray, image_size_hw: tuple[int, int]) -> Mask:
    """Whether a box comes close to a side of its rectangle that is not the picture's own; (N, 4), (N, 4) to (N,)."""
    height, width = image_size_hw
    margin = np.tile(rectangles[:, 2:] - rectangles[:, :2], 2) * MARGIN
    inner = rectangles != np.array([0, 0, width, height])
    distance = np.concatenate([boxes[:, :2] - rectangles[:, :2], rectangles[:, 2:] - boxes[:, 2:]], axis=1)
    near: Mask = (inner & (distance <= margin)).any(axis=1)
    return near


def _inside(boxes: FloatArray, limits: FloatArray) -> FloatArray:
    """Boxes cut off at their limits, (N, 4) each; right < left or bottom < top where nothing is left."""
    low, high = np.maximum(boxes[:, :2], limits[:, :2]), np.minimum(boxes[:, 2:], limits[:, 2:])
    return np.concatenate([low, high], axis=1)
