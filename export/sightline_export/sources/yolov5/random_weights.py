"""Random weights for the head of an original YOLOv5, such that it detects something."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from sightline_export.pictures import fit
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.sample import decode_rgb, open_sample
from sightline_export.sources.random_weights import outputs_of, settle_norms

from .network import Network

_SIDE_PIXELS = 320
_BOX_SPREAD, _OBJECT_SPREAD, _CLASS_SPREAD = 1.0, 2.0, 0.7
"""Standard deviations over the places, of boxes, objectness and classes, before the sigmoid. Where the objectness is
sure, the classes still tell the scores apart, so that their order does not hang on the last digit."""
_SIDE_BIAS = -0.5
"""Sides of boxes are mostly a little less than their anchor's."""
_LEAST_CLASS_LOGIT, _UNSURE_FRACTION = 0.5, 0.1
"""All places but this part of them have a best class of at least that."""
_LIKELY_COUNT = 8
"""At each scale of each picture at least so many anchors hold an object, though some of them are the same."""


def enliven(network: Network) -> None:
    """Give a randomly initialised network outputs that vary over the picture; deterministic."""
    pictures = _bundled_pictures()
    head = network.head
    convolutions = [layer for layer in head.m if isinstance(layer, nn.Conv2d)]
    _centre_weights(network, convolutions)
    settle_norms(network, pictures)
    anchor_count = head.anchors.shape[1]
    with torch.no_grad():
        for layer, output in zip(convolutions, outputs_of(network, convolutions, pictures), strict=True):
            assert layer.bias is not None
            raw = (output - layer.bias[:, None, None]).unflatten(1, (anchor_count, -1))
            factors = _CLASS_SPREAD / raw[:, :, 5:].std() * torch.ones(raw.shape[2])
            factors[:4] = _BOX_SPREAD / raw[:, :, :4].std()
            factors[4] = _OBJECT_SPREAD / raw[:, :, 4].std()
            layer.weight.mul_(factors.repeat(anchor_count)[:, None, None, None])
            layer.bias.copy_(_biases(raw * factors[:, None, None]).repeat(anchor_count))


def _bundled_pictures() -> torch.Tensor:
    """Those that exports are compared on, float32 [n, 3, 320, 320], RGB, 0 to 1."""
    files = open_sample(None)
    chosen = [decode_rgb(files[name]) for name in files.names]
    fitted = np.stack([ZERO_TO_ONE.apply(fit(picture, _SIDE_PIXELS)) for picture in chosen])
    return torch.from_numpy(fitted)


def _centre_weights(network: Network, outside: list[nn.Conv2d]) -> None:
    """Have every convolution but those of the head answer to differences alone.

    Else a picture that is brighter or busier than these shifts all channels of a layer together, the next
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
    biases[4] = -objectness.topk(min(_LIKELY_COUNT, objectness.shape[1])).values[:, -1].min()
    biases[5:] = _LEAST_CLASS_LOGIT - torch.quantile(best, _UNSURE_FRACTION)
    return biases
