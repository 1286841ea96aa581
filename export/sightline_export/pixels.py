"""What a network wants to see in a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sightline.errors import InvalidOptionError

Channels = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """How a value of 0 to 255 becomes a number: `(value / divisor - mean) / std`, for each channel of its own.

    Attributes:
        order: of the network's channels; the served picture is RGB.
        divisor: 255 for networks that take 0 to 1.
        mean: of each of the network's channels, in its order.
        std: of each of the network's channels, in its order, above 0.

    Raises:
        InvalidOptionError: a division by zero.
    """

    order: Literal["rgb", "bgr"] = "rgb"
    divisor: float = 255.0
    mean: Channels = (0.0, 0.0, 0.0)
    std: Channels = (1.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        if not (self.divisor > 0 and min(self.std) > 0):
            raise InvalidOptionError(f"divisor {self.divisor} and std {self.std} must be above 0")

    @property
    def normalises(self) -> bool:
        """Whether `mean` and `std` change anything."""
        return (self.mean, self.std) != ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    def apply(self, picture: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """What the network gets of one RGB picture: (H, W, 3), 0 to 255, to float32 (3, H, W)."""
        ordered = picture[..., ::-1] if self.order == "bgr" else picture
        scaled = ordered.astype(np.float32) / np.float32(self.divisor)
        normal = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(2, 0, 1))


ZERO_TO_ONE = PixelFormat()
"""RGB, 0 to 1: every YOLO from v3 to 26."""
IMAGENET = PixelFormat(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""RGB with the mean and standard deviation of ImageNet: torchvision."""
