"""A detector of Ultralytics as Ultralytics itself runs it."""

from __future__ import annotations

import importlib
from collections import defaultdict
from copy import deepcopy
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.boxes import clip_boxes
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture
from sightline_export.reference import Found

from .quiet import import_ultralytics, quietly
from .ultralytics_every_class import giving_every_class

_PREDICTORS = {"RTDETRDecoder": ("ultralytics.models.rtdetr", "RTDETRPredictor")}
"""Module and class of the predictors for heads that need another than `DetectionPredictor`."""
_USUAL_PREDICTOR = ("ultralytics.models.yolo.detect", "DetectionPredictor")


class UltralyticsReference:
    """A `SourceDetector`: Ultralytics' own `predict`, with the best class of each box; for `multi_label` every class,
    as its `val` takes them. It has a square letterbox, or for `rect` the rectangle that it makes of one picture by
    default.

    It works on copies, as tracing changes a model: make it before. Nothing is read from a file a second time.

    Args:
        model: the network with its weights, in FP32; the branch of a two-branch head is the one that it is set to.
        image_size: side of the square input, in pixels.
        options: of which `rect`, `iou_threshold`, `max_detections` and `multi_label` matter here.
    """

    def __init__(self, model: Any, *, image_size: int, options: ExportOptions) -> None:
        self._model = deepcopy(model).eval()
        self._options = options
        self._image_size = image_size
        self._version: str = import_ultralytics().__version__
        head = self._model.model[-1]
        self._end_to_end = bool(getattr(head, "end2end", False))
        head.max_det = options.max_detections
        self._place = _PREDICTORS.get(type(head).__name__, _USUAL_PREDICTOR)
        self._predictor: Any = None

    @property
    def description(self) -> str:
        """What runs it."""
        return f"ultralytics {self._version} predict{', every class' if self._options.multi_label else ''}"

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        """Detections in a picture of any size, best first, in its pixels."""
        import torch

        predictor = self._ready_predictor()
        predictor.args.conf = score_threshold
        with torch.no_grad():
            [result] = predictor([np.ascontiguousarray(picture[..., ::-1])])
        rows = result.boxes.data.cpu().numpy().astype(np.float32)
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        # RT-DETR's predictor lets boxes reach beyond the picture; those of all others end at its edge.
        boxes = clip_boxes(rows[:, :4], image_size_hw=(picture.shape[0], picture.shape[1]))
        return Found(boxes, rows[:, 4], rows[:, 5].round().astype(np.int64))

    def raw(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """What the network itself, neither fused nor traced, predicts for float32 [N, 3, H, W]."""
        import torch

        with torch.no_grad():
            prediction = self._model(torch.from_numpy(pictures))
        first = prediction[0] if isinstance(prediction, (list, tuple)) else prediction
        return np.asarray(first.numpy())

    def _ready_predictor(self) -> Any:
        if self._predictor is None:
            module, name = self._place
            with quietly():
                kind = getattr(importlib.import_module(module), name)
                if self._options.multi_label:
                    kind = giving_every_class(kind)
                predictor = kind(overrides=self._overrides())
                # Among them are those that report usage.
                predictor.callbacks = defaultdict(list)
                predictor.setup_model(self._model, verbose=False)
            self._predictor = predictor
        return self._predictor

    def _overrides(self) -> dict[str, Any]:
        return {
            "mode": "predict",
            "imgsz": self._image_size,
            "rect": bool(self._options.rect),
            "iou": self._options.iou_threshold,
            "max_det": self._options.max_detections,
            # Only False chooses the NMS-free branch of a network that has one.
            "nms": False if self._end_to_end else None,
            "device": "cpu",
            "verbose": False,
            "save": False,
        }
