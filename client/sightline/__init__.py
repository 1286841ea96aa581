"""Sightline: JPEG bytes in, boxes in the original image's pixels out, through NVIDIA Triton."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sightline import errors
    from sightline.access import Access
    from sightline.aio import AsyncClient
    from sightline.client import Client, ClientOptions
    from sightline.detections import Detections, GroupDetections, Result
    from sightline.detector_info import DetectorInfo
    from sightline.images import EncodedImage
    from sightline.tiling import Tiling

__all__ = [
    "Access",
    "AsyncClient",
    "Client",
    "ClientOptions",
    "Detections",
    "DetectorInfo",
    "EncodedImage",
    "GroupDetections",
    "Result",
    "Tiling",
    "errors",
]

_HOMES = {
    "Access": "sightline.access",
    "AsyncClient": "sightline.aio",
    "Client": "sightline.client",
    "ClientOptions": "sightline.client",
    "Detections": "sightline.detections",
    "DetectorInfo": "sightline.detector_info",
    "EncodedImage": "sightline.images",
    "GroupDetections": "sightline.detections",
    "Result": "sightline.detections",
    "Tiling": "sightline.tiling",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: gRPC alone takes a third of a second."""
    if name == "errors":
        return importlib.import_module("sightline.errors")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
