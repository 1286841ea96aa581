"""Geometry of boxes and of the letterbox, in plain numpy.

Boxes are float arrays of shape (N, 4) in pixels: `xyxy` is left, top, right, bottom; `xywh` is centre x, centre y,
width, height. Sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.integer[Any]]


def xywh_to_xyxy(boxes_xywh: FloatArray) -> FloatArray:
    """Corners of boxes given by centre and size; (..., 4) to (..., 4)."""
    centre, half = boxes_xywh[..., :2], boxes_xywh[..., 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=-1)


def xyxy_to_xywh(boxes_xyxy: FloatArray) -> FloatArray:
    """Centre and size of boxes given by corners; (..., 4) to (..., 4)."""
    low, high = boxes_xyxy[..., :2], boxes_xyxy[..., 2:]
    return np.concatenate([(low + high) / 2, high - low], axis=-1)


def areas(boxes_xyxy: FloatArray) -> FloatArray:
    """Areas in square pixels, (N, 4) to (N,); 0 where right < left or bottom < top."""
    sides = np.clip(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0, None)
    return sides[:, 0] * sides[:, 1]


def intersections(first_xyxy: FloatArray, second_xyxy: FloatArray) -> FloatArray:
    """Area that every pair shares, in square pixels: (N, 4) and (M, 4) to (N, M)."""
    low = np.maximum(first_xyxy[:, None, :2], second_xyxy[None, :, :2])
    high = np.minimum(first_xyxy[:, None, 2:], second_xyxy[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    shared: FloatArray = sides[..., 0] * sides[..., 1]
    return shared


def pairwise_iou(first_xyxy: FloatArray, second_xyxy: FloatArray) -> FloatArray:
    """Intersection over union of every pair: (N, 4) and (M, 4) to (N, M), 0 to 1; 0 where both areas are 0."""
    shared = intersections(first_xyxy, second_xyxy)
    union = areas(first_xyxy)[:, None] + areas(second_xyxy)[None, :] - shared
    iou: FloatArray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return iou


def clip_boxes(boxes_xyxy: FloatArray, *, image_size_hw: tuple[int, int]) -> FloatArray:
    """Boxes with every corner moved into the image; (N, 4) to (N, 4)."""
    height, width = image_size_hw
    limits = np.array([width, height, width, height], dtype=boxes_xyxy.dtype)
    return np.clip(boxes_xyxy, 0, limits)


def non_maximum_suppression(
    boxes_xyxy: FloatArray, scores: FloatArray, class_ids: IntArray, *, iou_threshold: float, max_detections: int
) -> npt.NDArray[np.int64]:
    """Greedy suppression within each class: the reference that every served form must agree with.

    Args:
        boxes_xyxy: (N, 4), pixels.
        scores: (N,). Equal scores are taken in input order.
        class_ids: (N,). Boxes of different classes never suppress each other.
        iou_threshold: a box goes when its IoU with a kept, better one is greater than this.
        max_detections: how many are kept at the most.

    Returns:
        Indices of the kept boxes, best first; (K,).
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while order.size and len(kept) < max_detections:
        best, rest = order[0], order[1:]
        kept.append(int(best))
        overlaps = pairwise_iou(boxes_xyxy[best : best + 1], boxes_xyxy[rest])[0]
        order = rest[~((overlaps > iou_threshold) & (class_ids[rest] == class_ids[best]))]
    return np.array(kept, dtype=np.int64)


@dataclass(frozen=True)
class Letterbox:
    """How an image is fitted into a square or rectangle: scaled to `resized_hw`, then moved by `left` and `top` pixels.

    Attributes:
        input_hw: height and width of what it is fitted into, pixels.
        gain_hw: scale from original to input pixels along each axis; rounding makes them differ a little.
        resized_hw: size of the scaled image, each side at least 1 pixel.
        left: width of the border on the left, pixels.
        top: height of the border above, pixels.
    """

    input_hw: tuple[int, int]
    gain_hw: tuple[float, float]
    resized_hw: tuple[int, int]
    left: int
    top: int

    def to_original(self, boxes_xyxy: FloatArray, *, image_size_hw: tuple[int, int]) -> FloatArray:
        """Boxes in input pixels, (N, 4), as boxes in the original image's pixels, clipped to it."""
        offset = np.array([self.left, self.top, self.left, self.top], dtype=boxes_xyxy.dtype)
        gain = np.array(self.gain_hw[::-1] * 2, dtype=boxes_xyxy.dtype)
        return clip_boxes((boxes_xyxy - offset) / gain, image_size_hw=image_size_hw)


def letterbox(*, image_size_hw: tuple[int, int], input_size: int, stride: int | None = None) -> Letterbox:
    """The letterbox of an image in an input whose longer side is `input_size`, as Ultralytics' `LetterBox` rounds it.

    Without a stride the input is a square. With one, which divides `input_size`, it is the smallest rectangle around
    the scaled image whose sides are multiples of it: the part of that square around its centre.

    Sides are rounded half to even, as Python does; the odd pixel of an odd border goes right and below. A side that
    would round to 0 becomes 1.
    """
    height, width = image_size_hw
    gain = min(input_size / height, input_size / width)
    resized_hw = (max(1, round(height * gain)), max(1, round(width * gain)))
    multiple = stride or input_size
    input_hw = (_multiple_above(resized_hw[0], multiple), _multiple_above(resized_hw[1], multiple))
    left = round((input_hw[1] - resized_hw[1]) / 2 - 0.1)
    top = round((input_hw[0] - resized_hw[0]) / 2 - 0.1)
    gain_hw = (resized_hw[0] / height, resized_hw[1] / width)
    return Letterbox(input_hw, gain_hw, resized_hw, left, top)


def _multiple_above(length: int, step: int) -> int:
    """The smallest multiple of `step` that is at least `length`."""
    return -(-length // step) * step


def resized_shape(*, image_size_hw: tuple[int, int], shorter: int, longest: int) -> tuple[int, int]:
    """(height, width) of an image scaled so that its shorter side is `shorter`, or its longer one `longest` if that is
    less, with the rounding of torchvision's `GeneralizedRCNNTransform`.

    Sides are the floor of a float64 product, which is often a pixel below `shorter` or `longest`: 385 pixels become
    799, not 800. So whoever computes this elsewhere needs float64 too, and the operations in this order. A side that
    would become 0, which torchvision refuses, becomes 1.
    """
    height, width = image_size_hw
    gain = min(shorter / min(height, width), longest / max(height, width))
    return max(1, int(height * gain)), max(1, int(width * gain))
