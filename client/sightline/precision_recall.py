"""How right the boxes of one class are: hits and false alarms by COCO's rule, and the curve that follows, in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.boxes import FloatArray, areas, intersections, pairwise_iou

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO reads a curve's precision."""
HIT, FALSE_ALARM, IGNORED = 1, 0, -1
Outcomes = npt.NDArray[np.int8]


def judge(
    boxes_xyxy: FloatArray,
    scores: FloatArray,
    truth_xyxy: FloatArray,
    *,
    crowd: npt.NDArray[np.bool_] | None = None,
    iou_threshold: float = 0.5,
) -> Outcomes:
    """What became of each box that was found in one image, for one class.

    The best-scored box chooses first, the true object that it overlaps most among those still free. A box that is left
    over and lies in a crowd region to that share of its own area counts as neither hit nor false alarm.

    Args:
        boxes_xyxy: (N, 4), pixels.
        scores: (N,); equal scores choose in input order.
        truth_xyxy: (M, 4), pixels.
        crowd: (M,), which of them are regions with many objects; none by default.
        iou_threshold: lowest IoU of a hit, 0 to 1.

    Returns:
        (N,), in input order: `HIT`, `FALSE_ALARM` or `IGNORED`.
    """
    is_crowd = np.zeros(len(truth_xyxy), np.bool_) if crowd is None else crowd
    found = boxes_xyxy.astype(np.float64)
    overlaps = pairwise_iou(found, truth_xyxy[~is_crowd].astype(np.float64))
    in_crowd = _covered(found, truth_xyxy[is_crowd].astype(np.float64)) >= iou_threshold
    free = np.ones(overlaps.shape[1], np.bool_)
    outcomes = np.where(in_crowd, IGNORED, FALSE_ALARM).astype(np.int8)
    for index in np.argsort(-scores, kind="stable"):
        candidates = np.where(free, overlaps[index], -1.0)
        best = int(candidates.argmax()) if len(candidates) else -1
        if best >= 0 and candidates[best] >= iou_threshold:
            free[best] = False
            outcomes[index] = HIT
    return outcomes


def _covered(boxes_xyxy: FloatArray, regions_xyxy: FloatArray) -> FloatArray:
    """Largest share of each box's area that lies in one of the regions; (N,)."""
    own = areas(boxes_xyxy)[:, None]
    shared = intersections(boxes_xyxy, regions_xyxy)
    shares: FloatArray = np.divide(shared, own, out=np.zeros_like(shared), where=own > 0)
    largest: FloatArray = shares.max(axis=1, initial=0.0)
    return largest


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What one score threshold gives.

    Attributes:
        score: the threshold, 0 to 1.
        precision: share of the boxes kept that are hits, 0 to 1.
        recall: share of the objects that are hit, 0 to 1.
    """

    score: float
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall of one class at every score, best score first; all (N,), 0 to 1."""

    scores: FloatArray
    precision: FloatArray
    recall: FloatArray

    @classmethod
    def of(cls, scores: FloatArray, outcomes: npt.NDArray[Any], *, objects: int) -> Curve:
        """The curve of boxes from all images.

        Args:
            scores: (N,).
            outcomes: (N,), from `judge`.
            objects: how many there are to find, at least 1, crowd regions not counted.
        """
        counted = np.flatnonzero(outcomes != IGNORED)
        order = counted[np.argsort(-scores[counted], kind="stable")]
        hits = np.cumsum(outcomes[order] == HIT)
        return cls(scores[order], hits / np.arange(1, len(order) + 1), hits / objects)

    def average_precision(self) -> float:
        """Mean of the best precision at or beyond each of `RECALLS`."""
        envelope = np.maximum.accumulate(self.precision[::-1])[::-1]
        positions = np.searchsorted(self.recall, RECALLS)
        return float(np.mean(np.append(envelope, 0.0)[np.minimum(positions, len(envelope))]))

    def best_f1(self) -> OperatingPoint | None:
        """The threshold with the best F1, the highest of several; None without boxes."""
        if not len(self.scores):
            return None
        # No threshold can part boxes of the same score, so a point stands only behind the last of them.
        ends = np.flatnonzero(np.append(np.diff(self.scores) != 0, True))
        points = [
            OperatingPoint(
                score=float(self.scores[i]), precision=float(self.precision[i]), recall=float(self.recall[i])
            )
            for i in ends
        ]
        return max(points, key=lambda point: point.f1)
