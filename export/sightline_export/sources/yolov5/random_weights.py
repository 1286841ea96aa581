"""Random weights for the head of an original YOLOv5, such that it detects something."""

from __future__ import annotations

import torch
from torch import nn

from sightline_export.sources.random_weights import drawn_pictures, outputs_of, settle_norms

from .network import Network

_BOX_SPREAD, _SCORE_SPREAD = 1.0, 2.0
"""Standard deviations over the places, of what is said of boxes, and of objectness and classes, before the sigmoid."""
_SIDE_BIAS = -0.5
"""Sides of boxes are mostly a little less than their anchor's."""
_SURE_LOGIT, _UNSURE_FRACTION = 3.0, 0.1
"""All places but this part of them are sure of their best class, so that the objectness decides."""
_LIKELY_FRACTION = 0.003
"""Of a picture's anchors at least so many hold an object."""


def enliven(network: Network) -> None:
    """Give a randomly initialised network outputs that vary over the picture; deterministic."""
    pictures = drawn_pictures()
    head = network.head
    convolutions = [layer for layer in head.m if isinstance(layer, nn.Conv2d)]
    _centre_weights(network, convolutions)
    settle_norms(network, pictures)
    anchor_count = head.anchors.shape[1]
    with torch.no_grad():
        for layer, output in zip(convolutions, outputs_of(network, convolutions, pictures), strict=True):
            assert layer.bias is not None
            raw = (output - layer.bias[:, None, None]).unflatten(1, (anchor_count, -1))
            factors = _SCORE_SPREAD / raw[:, :, 4:].std() * torch.ones(raw.shape[2])
            factors[:4] = _BOX_SPREAD / raw[:, :, :4].std()
            layer.weight.mul_(factors.repeat(anchor_count)[:, None, None, None])
            layer.bias.copy_(_biases(raw * factors[:, None, None]).repeat(anchor_count))


def _centre_weights(network: Network, outside: list[nn.Conv2d]) -> None:
    """Have every convolution but those of the head answer to differences alone.

    Else a picture that is brighter or busier than the drawn ones shifts all channels of a layer together, the next
    layer doubles that, and at the head nothing but the shift is left.
    """
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d) and layer not in outside:
                layer.weight.sub_(layer.weight.mean((1, 2, 3), keepdim=True))


def _biases(raw: torch.Tensor) -> torch.Tensor:
    """One for each value of an anchor, for outputs [n, anchors, 5 + classes, h, w] without any."""
    biases = torch.zeros(raw.shape[2])
    biases[2:4] = _SIDE_BIAS
    objectness, best = raw[:, :, 4].flatten(1), raw[:, :, 5:].amax(2).flatten()
    biases[4] = -torch.quantile(objectness, 1 - _LIKELY_FRACTION, dim=1).min()
    biases[5:] = _SURE_LOGIT - torch.quantile(best, _UNSURE_FRACTION)
    return biases
