"""Random weights with which torchvision's detectors detect something.

Freshly initialised, they give every place the same score. Here the batch norms take their statistics from drawn
pictures, and the last layers are scaled until their outputs vary as a trained detector's do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.contract import DEFAULT_SCORE_THRESHOLD
from sightline.preprocessing import Preprocessing
from sightline_export.pictures import preprocess, sample_pictures
from sightline_export.pixels import IMAGENET, ZERO_TO_ONE
from sightline_export.sample import first_pictures, open_sample
from sightline_export.sources.random_weights import outputs_of

from .architectures import Architecture

_SQUARE = Preprocessing.stretch_float(320)
_PICTURES = 7
"""Of the bundled ones. In other pictures, outputs beyond those of few would be saturated."""
_LOGITS, _OFFSETS = 3.0, 2.0
"""The largest outputs: class logits, and offsets of boxes where their coder divides by 10 and 5."""
_COUNTED_PICTURES = 4
_SURE_PROPOSALS, _MOST_SHARPENING = 100, 5.0
"""Of a region head in each picture, of which its suppression leaves some more than half; and the largest factor of its
logits for that."""
_LIKELY_FRACTION = 0.02
"""Of a sigmoid head's outputs at least so many score above one half."""


def enliven(model: Any, architecture: Architecture) -> None:
    """Give a randomly initialised detector outputs that vary over the picture; deterministic."""
    bundled = first_pictures(open_sample(None), _PICTURES)
    scenes = [preprocess(each, _SQUARE) for each in (*bundled, *sample_pictures())]
    pictures = torch.from_numpy(np.stack([IMAGENET.apply(scene) for scene in scenes]))
    unscaled = [torch.from_numpy(ZERO_TO_ONE.apply(scene)) for scene in scenes[:_COUNTED_PICTURES]]
    with torch.no_grad():
        smooth(model)
        settle_norms(model, pictures)
        features = list(model.backbone(pictures).values())
        if architecture.kind == "region":
            head, predictor = model.rpn.head, model.roi_heads.box_predictor
            _spread({head.cls_logits: _LOGITS, head.bbox_pred: _OFFSETS / 4}, lambda: head(features))
            head.cls_logits.bias.add_(_LOGITS)
            _spread({predictor.cls_score: _LOGITS, predictor.bbox_pred: _OFFSETS}, lambda: model(unscaled))
            predictor.cls_score.bias[0] -= _LOGITS
            _sharpen(model, unscaled)
            return
        logits, offsets = model.head.classification_head, model.head.regression_head
        if architecture.kind == "ssd":
            _spread({level[-1]: _LOGITS for level in logits.module_list}, lambda: logits(features))
            _spread({level[-1]: _OFFSETS for level in offsets.module_list}, lambda: offsets(features))
        else:
            _spread({logits.cls_logits: _LOGITS}, lambda: logits(features), quantile=1 - _LIKELY_FRACTION)
            _spread({offsets.bbox_reg: _OFFSETS / 4}, lambda: offsets(features))


def _sharpen(model: Any, pictures: Sequence[Tensor]) -> None:
    """Spread the class logits of a region head until enough proposals of every picture are sure of one."""
    predictor = model.roi_heads.box_predictor.cls_score
    logits = [outputs_of(model, [predictor], [picture])[0] for picture in pictures]
    factor = 1.0
    while min(_sure_count(each * factor) for each in logits) < _SURE_PROPOSALS and factor < _MOST_SHARPENING:
        factor *= 1.1
    predictor.weight.mul_(factor)
    predictor.bias.mul_(factor)


def _sure_count(logits: Tensor) -> int:
    return int((logits.softmax(dim=1)[:, 1:].amax(dim=1) > DEFAULT_SCORE_THRESHOLD).sum())


def smooth(model: Any) -> None:
    """Have every convolution look at its neighbourhood as a whole, the middle first.

    With fresh weights each layer sharpens, until the rounding of a pixel decides what is found.
    """
    for layer in model.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size[0] > 1:
            side = torch.hann_window(layer.kernel_size[0] + 2, periodic=False)[1:-1]
            window = torch.outer(side, side)
            flat = layer.weight.mean(dim=(2, 3), keepdim=True) * window
            layer.weight.copy_(flat * (layer.weight.std() / flat.std()))


def settle_norms(model: Any, pictures: Tensor) -> None:
    """Have every batch norm take its statistics from these pictures: float32 [N, 3, H, W], normalised."""
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


def _spread(layers: Mapping[Any, float], run: Callable[[], object], *, quantile: float = 0.5) -> None:
    """Scale each layer so that this quantile of its outputs is 0, and the highest lies so far above.

    The highest, not the usual one: saturated scores are all the same, and rounding alone would rank them.
    """
    seen: dict[Any, list[Tensor]] = {layer: [] for layer in layers}
    hooks = [layer.register_forward_hook(lambda layer, _, output: seen[layer].append(output)) for layer in layers]
    run()
    for hook in hooks:
        hook.remove()
    for layer, reach in layers.items():
        outputs = torch.cat([_by_channel(output) for output in seen[layer]], dim=1) - layer.bias[:, None]
        middle = torch.quantile(outputs, quantile, dim=1, keepdim=True)
        factor = reach / (outputs - middle).amax(dim=1, keepdim=True).clamp(min=1e-6)
        layer.weight.mul_(factor.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        layer.bias.copy_(-(middle * factor)[:, 0])


def _by_channel(output: Tensor) -> Tensor:
    """[N, C, h, w] or [N, C] as [C, the rest]."""
    return output.movedim(1, 0).flatten(1)
