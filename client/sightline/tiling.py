"""How a picture that is much larger than a network's input is cut into tiles that overlap."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.contract import MIN_IMAGE_SIZE
from sightline.errors import InvalidOptionError
from sightline.preprocessing import LARGEST_SIDE, Preprocessing

DEFAULT_OVERLAP = 0.2
LARGEST_OVERLAP = 0.5
"""Beyond it every pixel would be looked at more than four times."""


@dataclass(frozen=True, kw_only=True)
class Tiling:
    """Have pictures that are larger than a tile looked at tile by tile, and once as a whole.

    Attributes:
        tile: side of a tile in pixels of the picture, 320 to 4096. The network's own input size finds the smallest
            objects; larger tiles are shrunk to it.
        overlap: the least part of its side that a tile shares with the next, 0 to 0.5. Objects up to that size are seen
            whole by some tile.
        whole: look at the whole picture too, for objects that no tile sees whole.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    tile: int
    overlap: float = DEFAULT_OVERLAP
    whole: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.tile, bool) or not isinstance(self.tile, int):
            raise InvalidOptionError(f"tile is {self.tile!r}; it must be a whole number of pixels, such as 1280")
        if not MIN_IMAGE_SIZE <= self.tile <= LARGEST_SIDE:
            raise InvalidOptionError(
                f"a tile of {self.tile} pixels is not allowed: {MIN_IMAGE_SIZE} to {LARGEST_SIDE}, best the input size "
                "of the network, such as 640"
            )
        if not 0 <= self.overlap <= LARGEST_OVERLAP:
            raise InvalidOptionError(
                f"overlap is {self.overlap}; it must lie from 0 to {LARGEST_OVERLAP}, such as {DEFAULT_OVERLAP}: the "
                "part of a tile's side that is shared with the next tile"
            )

    def check_fits(self, preprocessing: Preprocessing) -> None:
        """Refuse tiles that a network with such input would only see enlarged.

        Raises:
            InvalidOptionError: they are smaller than its input.
        """
        side = preprocessing.sides[0]
        if self.tile < side:
            raise InvalidOptionError(
                f"tiles of {self.tile} pixels do not match the network, which takes {preprocessing} and would see them "
                f"enlarged: use tiles of {side} pixels or more, or export the model with a smaller --imgsz"
            )

    def cuts(self, image_size_hw: tuple[int, int]) -> bool:
        """Whether a picture of that height and width in pixels is larger than one tile."""
        return max(image_size_hw) > self.tile

    def tiles_xyxy(self, image_size_hw: tuple[int, int]) -> npt.NDArray[np.int64]:
        """Left, top, right, bottom of every tile in pixels, row by row; (N, 4).

        All have the full size, or the picture's own along a side where that is smaller. They are spread evenly, so
        that what is left over makes every overlap larger instead of only the last one.
        """
        height, width = image_size_hw
        rows, columns = (_starts(length, self.tile, self.overlap) for length in (height, width))
        low = np.array([(x, y) for y in rows for x in columns])
        size = np.array([min(width, self.tile), min(height, self.tile)])
        return np.concatenate([low, low + size], axis=1)


def _starts(length: int, tile: int, overlap: float) -> list[int]:
    if length <= tile:
        return [0]
    step = tile - math.ceil(tile * overlap)
    gaps = math.ceil((length - tile) / step)
    return [round(index * (length - tile) / gaps) for index in range(gaps + 1)]
