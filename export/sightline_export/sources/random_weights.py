"""Random weights that detect something.

Freshly initialised, these networks give every place the same score of about 1e-5: nothing comes out, and neither the
suppression nor a comparison has anything to do. Here the batch norms take their statistics from drawn pictures, so that
signals survive to the head, and each class's bias is moved until some places score well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightline_export.pictures import fit, sample_pictures

from .random_queries import spread_queries

_SIDE_PIXELS = 320
_LIKELY_FRACTION = 0.02
"""Of a picture's places at least so many score above one half for their best class."""
_SPREAD = 2.0
"""Standard deviation of a class's logits over the places."""


def enliven(model: Any) -> None:
    """Give a randomly initialised Ultralytics detector outputs that vary over the picture; deterministic."""
    import torch

    pictures = drawn_pictures()
    settle_norms(model, pictures)
    with torch.no_grad():
        if hasattr(model.model[-1], "dec_score_head"):
            spread_queries(model, pictures)
            return
        for branch in _class_branches(model.model[-1]):
            _spread_scores(model, branch, pictures)


def drawn_pictures() -> Any:
    """The drawn pictures as a tensor, float32 [n, 3, 320, 320], RGB, 0 to 1."""
    import torch

    scenes = np.stack([fit(picture, _SIDE_PIXELS) for picture in sample_pictures()])
    return torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 255


def settle_norms(model: Any, pictures: Any) -> None:
    """Have every batch norm take its statistics from `pictures`, and set the model to evaluation."""
    import torch

    norms = [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    usual = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.momentum = 1.0
        model.train()
        model(pictures)
        for norm, momentum in zip(norms, usual, strict=True):
            norm.momentum = momentum
        model.eval()


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


def _class_branches(head: Any) -> list[Any]:
    """The lists of class convolutions, one per scale in each."""
    branches = [head.cv3]
    if getattr(head, "one2one_cv3", None) is not None:
        branches.append(head.one2one_cv3)
    return branches


def _spread_scores(model: Any, branch: Any, pictures: Any) -> None:
    """Scale and move the last convolution of each scale."""
    import torch

    last = [scale[-1] for scale in branch]
    for layer, output in zip(last, outputs_of(model, last, pictures), strict=True):
        logits = output - layer.bias[None, :, None, None]
        factor = _SPREAD / logits.std().clamp(min=1e-6)
        layer.weight.mul_(factor)
        best = (logits * factor).amax(dim=1).flatten(1)
        layer.bias.fill_(-float(torch.quantile(best, 1 - _LIKELY_FRACTION, dim=1).min()))
