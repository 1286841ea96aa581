"""SSDLite with the backbone of ImageNet, which torchvision builds only where it may download that."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

_LAST_CONVOLUTION = "backbone.features.1.3.0.weight"


def has_full_tail(state: Mapping[str, Any]) -> bool:
    """Whether a state_dict was trained from ImageNet's backbone, whose last stage is twice as wide."""
    tail = state.get(_LAST_CONVOLUTION)
    return tail is not None and int(tail.shape[0]) == 960


def ssdlite_with_full_tail(label_count: int) -> Any:
    """Torchvision's model as it is built around ImageNet's backbone, but with fresh weights."""
    from torch import nn
    from torchvision.models import mobilenet_v3_large
    from torchvision.models.detection import _utils, ssdlite, ssdlite320_mobilenet_v3_large

    norm = partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    model = ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=label_count)
    tail_and_all = mobilenet_v3_large(weights=None, norm_layer=norm)
    model.backbone = ssdlite._mobilenet_extractor(tail_and_all, 6, norm)
    channels = _utils.retrieve_out_channels(model.backbone, (320, 320))
    model.head = ssdlite.SSDLiteHead(channels, model.anchor_generator.num_anchors_per_location(), label_count, norm)
    return model
