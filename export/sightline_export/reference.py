"""What a graph must give, in plain numpy: slow, obvious, and written apart from the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.boxes import FloatArray, clip_boxes, non_maximum_suppression
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing

from .graph.settings import MOST_PAIRS
from .heads import HEADS, Candidates, Head


@dataclass(frozen=True)
class Found:
    """The detections of one image, best first.

    Attributes:
        boxes_xyxy: (K, 4), pixels of the original image.
        scores: (K,).
        class_ids: (K,).
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]


def detect(
    raw: npt.NDArray[np.float32],
    *,
    info: DetectorInfo,
    image_size_hw: tuple[int, int],
    score_threshold: float,
    candidate_limit: int | None = None,
) -> Found:
    """Detections from one image's raw output.

    Args:
        raw: the output without the batch axis.
        info: its layout, and the numbers of the suppression.
        image_size_hw: size of the original image, in pixels.
        score_threshold: lowest score; one that is not at least the detector's floor (NaN too) becomes the floor.
        candidate_limit: how many of the best candidates are looked at; with `info.multi_label`, of the pairs of a box
            and a class. None looks at all candidates, and at `MOST_PAIRS` pairs.
    """
    head = HEADS[info.head]
    threshold = score_threshold if score_threshold >= info.score_floor else info.score_floor
    candidates = _every_class(raw, head, candidate_limit or MOST_PAIRS) if info.multi_label else head.decode_numpy(raw)
    sound = np.isfinite(candidates.boxes_xyxy).all(axis=1) & np.isfinite(candidates.scores)
    keep = np.flatnonzero(sound & (candidates.scores >= np.float32(threshold)))
    keep = keep[np.argsort(-candidates.scores[keep], kind="stable")[:candidate_limit]]
    boxes, scores, classes = candidates.boxes_xyxy[keep], candidates.scores[keep], candidates.class_ids[keep]
    best = _best(Candidates(boxes, scores, classes), head, info)
    original = _to_original(boxes[best], info.preprocessing, image_size_hw)
    return Found(original.astype(np.float32), np.minimum(scores[best], 1), classes[best])


def _every_class(raw: npt.NDArray[np.float32], head: Head, limit: int) -> Candidates:
    """The best `limit` pairs of a box and a class as candidates; `class_ids` is the pair's class."""
    if head.by_class is None:
        raise InvalidOptionError(f"a {head.name} head does not tell the score of every class")
    scores = head.by_class.scores_numpy(raw)
    boxes_xyxy = head.decode_numpy(raw).boxes_xyxy
    best = np.argsort(-np.nan_to_num(scores.ravel()), kind="stable")[:limit]
    boxes, class_ids = np.unravel_index(best, scores.shape)
    return Candidates(boxes_xyxy[boxes], scores[boxes, class_ids], class_ids)


def _to_original(
    boxes_xyxy: npt.NDArray[np.float32], preprocessing: Preprocessing, image_size_hw: tuple[int, int]
) -> FloatArray:
    """Boxes in pixels of what the network sees, or in parts of the picture, as pixels of the original image."""
    if preprocessing.has_borders:
        return preprocessing.fitting(image_size_hw).to_original(boxes_xyxy, image_size_hw=image_size_hw)
    height, width = image_size_hw
    return clip_boxes(boxes_xyxy * np.array([width, height, width, height], np.float32), image_size_hw=image_size_hw)


def _best(candidates: Candidates, head: Head, info: DetectorInfo) -> npt.NDArray[np.int64]:
    if not head.needs_nms:
        order: npt.NDArray[np.int64] = np.argsort(-candidates.scores, kind="stable")[: info.max_detections]
        return order
    return non_maximum_suppression(
        candidates.boxes_xyxy,
        candidates.scores,
        candidates.class_ids,
        iou_threshold=info.iou_threshold,
        max_detections=info.max_detections,
    )
