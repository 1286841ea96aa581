"""A drawn picture to try engines on: what a network finds in noise is too little to judge by."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
_SHAPES = 40
_SMALLEST, _LARGEST = 0.02, 0.2
"""Reach of a shape from its middle, in parts of the picture's longer side."""


def draw_picture(size_hw: tuple[int, int], *, seed: int) -> Picture:
    """Discs and boxes of many colours and sizes before a background that fades, the same for the same seed.

    Edges, corners and plain areas lead a detector to dozens of faint guesses, as a photograph does.

    Args:
        size_hw: height and width in pixels.
        seed: of what is drawn, and where.

    Returns:
        uint8 (height, width, 3).
    """
    rng = np.random.default_rng(seed)
    height, width = size_hw
    top, bottom = rng.integers(60, 220, (2, 3))
    falling = np.linspace(0, 1, height)[:, None, None]
    picture = np.broadcast_to(top + (bottom - top) * falling, (height, width, 3)).astype(np.uint8)
    for number in range(_SHAPES):
        reach = max(1, int(rng.uniform(_SMALLEST, _LARGEST) * max(size_hw)))
        middle = int(rng.integers(0, height)), int(rng.integers(0, width))
        rows, columns = (
            np.arange(max(0, at - reach), min(at + reach, end)) for at, end in zip(middle, size_hw, strict=True)
        )
        down, right = rows[:, None] - middle[0], columns[None] - middle[1]
        inside = down**2 + right**2 < reach**2 if number % 2 else (abs(down) < reach) & (abs(right) < reach / 2)
        picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][inside] = rng.integers(0, 256, 3)
    return picture
