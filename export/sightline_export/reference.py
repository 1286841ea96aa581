"""What a graph must give, in plain numpy: slow, obvious, and written apart from the graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.boxes import letterbox, non_maximum_suppression
from sightline.contract import SCORE_FLOOR

from .heads import Candidates, Head


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
    head: Head,
    *,
    image_size_hw: tuple[int, int],
    input_size: int,
    score_threshold: float,
    iou_threshold: float,
    max_detections: int,
) -> Found:
    """Detections from one image's raw output.

    Args:
        raw: the output without the batch axis.
        head: its layout.
        image_size_hw: size of the original image, in pixels.
        input_size: side of the letterboxed picture, in pixels.
        score_threshold: lowest score; below `SCORE_FLOOR`, and NaN, it is that.
        iou_threshold: see `boxes.non_maximum_suppression`.
        max_detections: how many at the most.
    """
    threshold = score_threshold if score_threshold >= SCORE_FLOOR else SCORE_FLOOR
    candidates = head.decode_numpy(raw)
    sound = np.isfinite(candidates.boxes_xyxy).all(axis=1) & np.isfinite(candidates.scores)
    keep = np.flatnonzero(sound & (candidates.scores >= np.float32(threshold)))
    boxes, scores, classes = candidates.boxes_xyxy[keep], candidates.scores[keep], candidates.class_ids[keep]
    best = _best(Candidates(boxes, scores, classes), head, iou_threshold, max_detections)
    place = letterbox(image_size_hw=image_size_hw, input_size=input_size)
    original = place.to_original(boxes[best], image_size_hw=image_size_hw)
    return Found(original.astype(np.float32), np.minimum(scores[best], 1), classes[best])


def _best(candidates: Candidates, head: Head, iou_threshold: float, max_detections: int) -> npt.NDArray[np.int64]:
    if not head.needs_nms:
        order: npt.NDArray[np.int64] = np.argsort(-candidates.scores, kind="stable")[:max_detections]
        return order
    return non_maximum_suppression(
        candidates.boxes_xyxy,
        candidates.scores,
        candidates.class_ids,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )
