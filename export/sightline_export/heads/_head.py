"""What a head is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.boxes import xywh_to_xyxy


@dataclass(frozen=True)
class Candidates:
    """What one image's raw output says before thresholds and suppression.

    Attributes:
        boxes_xyxy: (A, 4), pixels of the letterboxed picture; of a stretched or resized one, parts of its width and
            height.
        scores: (A,).
        class_ids: (A,), the best class of each.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int64]

    @classmethod
    def with_best_class(cls, boxes_xywh: npt.NDArray[np.float32], by_class: npt.NDArray[np.float32]) -> Candidates:
        """Of centres, widths and heights (A, 4), and the scores of every class (A, C)."""
        return cls(xywh_to_xyxy(boxes_xywh), by_class.max(axis=1), by_class.argmax(axis=1))


@dataclass(frozen=True)
class ByClass:
    """How a layout tells the score of every class, not of the best one alone.

    Attributes:
        scores: the onnxscript function: raw float32 to float32 [N, C, A].
        scores_numpy: the same for one image in plain numpy, written independently: (A, C).
    """

    scores: Any
    scores_numpy: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class Head:
    """One layout of raw outputs.

    Attributes:
        name: as it stands in `DetectorInfo.head` and in the `head` option.
        layout: shape and meaning, for messages.
        needs_nms: whether one object can have several candidates.
        decoding: gives, for a number of candidates A, the onnxscript function: raw float32 to boxes_xyxy float32
            [N, A, 4], scores float32 [N, A], classes int64 [N, A].
        decode_numpy: the same for one image in plain numpy, written independently: the exporter compares the two.
        candidate_axis: axis of A in the raw output of one image (without the batch axis).
        class_count: number of classes that an output of these dims (without the batch axis) has, 0 where the dims
            do not tell, None where they do not fit this layout.
        by_class: how every class's score is told; None where a candidate has one class only.
        any_size: whether the decoding is the same for every height and width of the input.
    """

    name: str
    layout: str
    needs_nms: bool
    candidate_axis: int
    decoding: Callable[[int], Any]
    decode_numpy: Callable[[npt.NDArray[np.float32]], Candidates]
    class_count: Callable[[tuple[int, int]], int | None]
    by_class: ByClass | None = None
    any_size: bool = True
