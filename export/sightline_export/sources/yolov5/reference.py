"""An original YOLOv5 as its own repository runs it."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.boxes import xywh_to_xyxy
from sightline.preprocessing import Preprocessing
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture, fit
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.reference import Found

if TYPE_CHECKING:
    from .network import Network

_CLASS_OFFSET_PIXELS = 7680
"""Classes are suppressed together, moved so far apart, with the rounding that this brings."""
_MOST_CANDIDATES = 30_000


class OriginalReference:
    """A `SourceDetector`: the network in torch, neither fused nor traced, with its letterbox and the NMS of
    torchvision; the best class of each box, or every class where `multi_label` is asked for.

    Args:
        network: with its weights, for evaluation. It is not changed.
        preprocessing: a letterbox or a rect.
        options: of which `iou_threshold`, `max_detections` and `multi_label` matter here.
    """

    def __init__(self, network: Network, *, preprocessing: Preprocessing, options: ExportOptions) -> None:
        self._network = network
        self._preprocessing = preprocessing
        self._options = options

    @property
    def description(self) -> str:
        """What runs it."""
        return f"torch {version('torch')} with torchvision's NMS{', every class' * self._options.multi_label}"

    def raw(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """float32 [N, 3, H, W] to [N, A, 5 + classes]."""
        import torch

        with torch.no_grad():
            return np.asarray(self._network(torch.from_numpy(pictures)).numpy())

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        """Detections in a picture of any size, best first, in its pixels."""
        [raw] = self.raw(ZERO_TO_ONE.apply(fit(picture, *self._preprocessing.sides))[None])
        boxes, scores, class_ids = self._candidates(raw, score_threshold)
        kept = self._suppress(boxes, scores, class_ids)
        height, width, _ = picture.shape
        place = self._preprocessing.fitting((height, width))
        original = place.to_original(boxes[kept], image_size_hw=(height, width))
        return Found(original.astype(np.float32), scores[kept], class_ids[kept])

    def _candidates(
        self, raw: npt.NDArray[np.float32], score_threshold: float
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Boxes in pixels of the input, scores and classes, best first."""
        confidence = raw[:, 5:] * raw[:, 4:5]
        if self._options.multi_label and confidence.shape[1] > 1:
            rows, class_ids = np.nonzero(confidence > score_threshold)
        else:
            rows = np.flatnonzero(confidence.max(axis=1) > score_threshold)
            class_ids = confidence[rows].argmax(axis=1)
        scores = confidence[rows, class_ids]
        order = np.argsort(-scores, kind="stable")[:_MOST_CANDIDATES]
        boxes = xywh_to_xyxy(raw[rows[order], :4]).astype(np.float32)
        return boxes, scores[order], class_ids[order].astype(np.int64)

    def _suppress(
        self, boxes: npt.NDArray[np.float32], scores: npt.NDArray[np.float32], class_ids: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        import torch
        from torchvision.ops import nms

        apart = boxes + (class_ids[:, None] * _CLASS_OFFSET_PIXELS).astype(np.float32)
        kept = nms(torch.from_numpy(apart), torch.from_numpy(scores), self._options.iou_threshold)
        return np.asarray(kept[: self._options.max_detections].numpy())
