"""Random weights that detect something.

Freshly initialised, these networks give every place the same score of about 1e-5: nothing comes out, and neither the
suppression nor a comparison has anything to do. Here the batch norms take their statistics from drawn pictures, so that
signals survive to the head, and each class's bias is moved until enough boxes are left behind the suppression.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.boxes import non_maximum_suppression, xywh_to_xyxy
from sightline.contract import DEFAULT_IOU_THRESHOLD, DEFAULT_SCORE_THRESHOLD
from sightline_export.pictures import fit, sample_pictures
from sightline_export.sample import first_pictures, open_sample

from .random_queries import spread_queries

Floats = npt.NDArray[np.float32]

_SIDE_PIXELS = 320
_BUNDLED_PICTURES = 8
_WANTED_BOXES = 80
"""In the picture with the fewest; others than those that this was measured on have some fewer still."""
_FARTHEST_LOGIT = 6.0
"""From a class's mean. Sigmoids of larger ones come near 1, where FP32 has no room to tell them apart."""
_GAIN = 0.5
"""Of every batch norm. Smaller values let the activations bend less, and a network of bent ones, random and deep, makes
chaos of the last digits."""
_GAIN_WHEN_LARGE, _LARGE_PARAMETERS = 0.1, 20_000_000
"""The same for networks of more parameters than that, which are the deep ones of a family."""
_LEAST_VARIANCE = 0.1
"""Of a channel, as a part of its layer's mean: one that hardly varies in these pictures would be blown up in others."""
_LARGEST_SHIFT, _SHIFT_STEPS = 12.0, 12


def enliven(model: Any) -> None:
    """Give a randomly initialised Ultralytics detector outputs that vary over the picture; deterministic."""
    import torch

    pictures = drawn_pictures()
    settle_norms(model, pictures)
    with torch.no_grad():
        if hasattr(model.model[-1], "dec_score_head"):
            spread_queries(model, pictures)
            return
    spread_scores(model, pictures)


def drawn_pictures() -> Any:
    """Drawn pictures as a tensor, float32 [n, 3, 320, 320], RGB, 0 to 1."""
    import torch

    drawn = [*sample_pictures(), *first_pictures(open_sample(None), _BUNDLED_PICTURES)]
    scenes = np.stack([fit(picture, _SIDE_PIXELS) for picture in drawn])
    return torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 255


def settle_norms(model: Any, pictures: Any) -> None:
    """Have every batch norm take its statistics from `pictures`, and set the model to evaluation."""
    import torch

    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    large = sum(weight.numel() for weight in model.parameters()) > _LARGE_PARAMETERS
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
            norm.weight.fill_(_GAIN_WHEN_LARGE if large else _GAIN)
        model.train()
        model(pictures)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
            if (variance := norm.running_var) is not None:
                variance.clamp_(min=_LEAST_VARIANCE * float(variance.mean()))
        model.eval()


def shift_for_enough(boxes_xyxy: Sequence[Floats | None], logits: Sequence[Floats]) -> float:
    """What to add to every logit so that enough boxes are left in each picture; at the most 12, either way.

    Args:
        boxes_xyxy: of each picture, (A, 4), pixels; None where nothing is suppressed.
        logits: of each picture, (A, classes); the sigmoid of one is a score.
    """
    low, high = -_LARGEST_SHIFT, _LARGEST_SHIFT
    for _ in range(_SHIFT_STEPS):
        middle = (low + high) / 2
        enough = all(_left(boxes, each + middle) for boxes, each in zip(boxes_xyxy, logits, strict=True))
        low, high = (low, middle) if enough else (middle, high)
    return high


def _left(boxes_xyxy: Floats | None, logits: Floats) -> bool:
    """Whether so many boxes as are wanted pass the usual threshold and suppression."""
    best = logits.max(axis=1)
    keep = np.flatnonzero(best > math.log(DEFAULT_SCORE_THRESHOLD / (1 - DEFAULT_SCORE_THRESHOLD)))
    if len(keep) < _WANTED_BOXES or boxes_xyxy is None:
        return len(keep) >= _WANTED_BOXES
    kept = non_maximum_suppression(
        boxes_xyxy[keep],
        best[keep],
        logits[keep].argmax(axis=1),
        iou_threshold=DEFAULT_IOU_THRESHOLD,
        max_detections=_WANTED_BOXES,
    )
    return len(kept) == _WANTED_BOXES


def outputs_of(model: Any, layers: Sequence[Any], pictures: Any) -> list[Any]:
    """What each of `layers` gives while the model sees `pictures`."""
    import torch

    seen: dict[int, Any] = {}
    hooks = [layer.register_forward_hook(lambda layer, _, output: seen.update({id(layer): output})) for layer in layers]
    with torch.no_grad():
        model(pictures)
    for hook in hooks:
        hook.remove()
    return [seen[id(layer)] for layer in layers]


def spread_scores(model: Any, pictures: Any) -> None:
    """Have the scores vary over `pictures`, and find enough in each.

    Args:
        model: an Ultralytics detector with convolutions for its classes, in evaluation.
        pictures: float32 [n, 3, H, W], RGB, 0 to 1.
    """
    import torch

    head = model.model[-1]
    with torch.no_grad():
        _spread_branch(model, head.cv3, pictures, suppressed=True)
        if getattr(head, "one2one_cv3", None) is not None:
            _spread_branch(model, head.one2one_cv3, pictures, suppressed=False)


def _spread_branch(model: Any, branch: Any, pictures: Any, *, suppressed: bool) -> None:
    """Scale and move the last of a branch's class convolutions, of which there is one list for each scale."""
    last = [scale[-1] for scale in branch]
    found = []
    for layer, output in zip(last, outputs_of(model, last, pictures), strict=True):
        mean = output.mean(dim=(0, 2, 3))
        centred = output - mean[:, None, None]
        factor = _FARTHEST_LOGIT / centred.abs().max().clamp(min=1e-6)
        layer.weight.mul_(factor)
        layer.bias.copy_((layer.bias - mean) * factor)
        found.append((centred * factor).flatten(2).transpose(1, 2))
    by_picture = [np.concatenate([scale[index].numpy() for scale in found]) for index in range(len(pictures))]
    shift = shift_for_enough(_boxes(model, pictures) if suppressed else [None] * len(by_picture), by_picture)
    for layer in last:
        layer.bias.add_(shift)


def _boxes(model: Any, pictures: Any) -> list[Floats]:
    """Those of the branch that is suppressed, for each picture."""
    head = model.model[-1]
    before = getattr(head, "end2end", False)
    head.end2end = False
    prediction = model(pictures)[0]
    head.end2end = before
    return [xywh_to_xyxy(each[:4].T.numpy()) for each in prediction]
