"""Random weights with which torchvision's detectors detect something.

Freshly initialised, they give every place the same score. Here the batch norms take their statistics from drawn
pictures, and the last layers are scaled until their outputs vary as a trained detector's do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.preprocessing import Preprocessing
from sightline_export.pictures import preprocess, sample_pictures
from sightline_export.pixels import IMAGENET

from .architectures import Architecture

_SQUARE = Preprocessing.stretch(320)
_LOGITS, _OFFSETS = 3.0, 0.7
"""Standard deviations of the outputs: class logits, and offsets of boxes."""
_LIKELY_FRACTION = 0.02
"""Of a sigmoid head's outputs at least so many score above one half."""


def enliven(model: Any, architecture: Architecture) -> None:
    """Give a randomly initialised detector outputs that vary over the picture; deterministic."""
    pictures = torch.from_numpy(np.stack([IMAGENET.apply(preprocess(each, _SQUARE)) for each in sample_pictures()]))
    with torch.no_grad():
        _calibrate(model, pictures)
        features = list(model.backbone(pictures).values())
        if architecture.kind == "region":
            head, predictor = model.rpn.head, model.roi_heads.box_predictor
            _spread({head.cls_logits: _LOGITS, head.bbox_pred: _OFFSETS / 4}, lambda: head(features))
            _spread({predictor.cls_score: _LOGITS, predictor.bbox_pred: _OFFSETS}, lambda: model([pictures[0]]))
            return
        logits, offsets = model.head.classification_head, model.head.regression_head
        if architecture.kind == "ssd":
            _spread({level[-1]: _LOGITS for level in logits.module_list}, lambda: logits(features))
            _spread({level[-1]: _OFFSETS for level in offsets.module_list}, lambda: offsets(features))
        else:
            _spread({logits.cls_logits: _LOGITS}, lambda: logits(features), quantile=1 - _LIKELY_FRACTION)
            _spread({offsets.bbox_reg: _OFFSETS / 4}, lambda: offsets(features))


def _calibrate(model: Any, pictures: Tensor) -> None:
    """Have every batch norm take the statistics of these pictures."""
    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    features = list(model.backbone(pictures).values())
    if hasattr(model, "head"):
        model.head(features)
    for norm, momentum in zip(norms, usual, strict=True):
        norm.momentum = momentum
        norm.eval()


def _spread(layers: Mapping[Any, float], run: Callable[[], object], *, quantile: float | None = None) -> None:
    """Scale each layer so that its outputs vary by that deviation around 0, or so that this quantile of them is 0."""
    seen: dict[Any, list[Tensor]] = {layer: [] for layer in layers}
    hooks = [layer.register_forward_hook(lambda layer, _, output: seen[layer].append(output)) for layer in layers]
    run()
    for hook in hooks:
        hook.remove()
    for layer, deviation in layers.items():
        outputs = torch.cat([_by_channel(output) for output in seen[layer]], dim=1) - layer.bias[:, None]
        factor = deviation / outputs.std(dim=1, keepdim=True).clamp(min=1e-6)
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        scaled = outputs * factor
        layer.bias.copy_(-(scaled.mean(dim=1) if quantile is None else torch.quantile(scaled, quantile, dim=1)))


def _by_channel(output: Tensor) -> Tensor:
    """[N, C, h, w] or [N, C] as [C, the rest]."""
    return output.movedim(1, 0).flatten(1)
