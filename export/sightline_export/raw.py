"""A network as it comes from its source: picture in, undecoded predictions out; and its source itself, to compare."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx

from sightline.contract import SCORE_FLOOR
from sightline.preprocessing import Preprocessing

from .heads import Head
from .pictures import Picture
from .pixels import ZERO_TO_ONE, PixelFormat
from .reference import Found


class SourceDetector(Protocol):
    """The detector as its own framework runs it: what the served one is compared with."""

    @property
    def description(self) -> str:
        """What runs it, with its version."""

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        """Detections in a picture of any size, best first, in its pixels; suppressed as the export was asked to."""

    def raw(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        """The source's own raw predictions for what `RawNetwork.model` takes."""


@dataclass(frozen=True, kw_only=True)
class RawNetwork:
    """One ONNX graph with one input and one output, and what is known about it.

    Attributes:
        model: float32 [N, 3, H, W], of `pixels`, to the raw predictions that `head` understands. Boxes are in pixels of
            the input where the preprocessing has borders, else parts of its width and height.
        head: layout of the output.
        preprocessing: how pictures are brought to H x W; of a rect, those of the rectangle, which are free.
        class_names: one per class id.
        stride: largest stride, in pixels.
        source: the file it came from.
        reference: that source at work.
        pixels: what the network wants to see in a pixel.
        score_floor: scores below it are left out by the source already, 0 to 1.
        versions: versions of the packages that made it, by name.
        square_because: why it sees squares although nobody asked for them; empty otherwise.
    """

    model: onnx.ModelProto
    head: Head
    preprocessing: Preprocessing
    class_names: tuple[str, ...]
    stride: int
    source: Path
    reference: SourceDetector
    pixels: PixelFormat = ZERO_TO_ONE
    score_floor: float = SCORE_FLOOR
    versions: Mapping[str, str] = field(default_factory=dict)
    square_because: str = ""


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
