"""Ultralytics' predictor with the suppression that its `val` uses."""

from __future__ import annotations

import importlib
from typing import Any


def giving_every_class(predictor: Any) -> Any:
    """A class like `predictor` that gives every class of a box above the threshold, not the best one alone.

    `DetectionValidator.postprocess` and `DetectionPredictor.postprocess` differ in one argument of the same function.
    """
    suppress = importlib.import_module("ultralytics.utils.nms").non_max_suppression

    class EveryClassPredictor(predictor):  # type: ignore[misc]
        """See `giving_every_class`."""

        def postprocess(self, preds: Any, img: Any, orig_imgs: Any, **_: Any) -> Any:
            """Results of the network's predictions."""
            limits = {"conf_thres": self.args.conf, "iou_thres": self.args.iou, "max_det": self.args.max_det}
            return self.construct_results(suppress(preds, multi_label=True, **limits), img, orig_imgs)

    return EveryClassPredictor
