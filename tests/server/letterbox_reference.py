"""The letterbox that results are held against: OpenCV, with the rounding of Ultralytics."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sightline.contract import PAD_VALUE

Image = npt.NDArray[Any]
"""uint8 [H, W, 3]."""


def letterbox(bgr: Image, image_size: int) -> Image:
    """RGB [S, S, 3] of a BGR picture [H, W, 3]."""
    height, width = bgr.shape[:2]
    scale = min(image_size / height, image_size / width)
    # Python's round: half to even. A side of 0 pixels becomes 1.
    fitted_width, fitted_height = max(round(width * scale), 1), max(round(height * scale), 1)
    if (fitted_width, fitted_height) != (width, height):
        bgr = cv2.resize(bgr, (fitted_width, fitted_height), interpolation=cv2.INTER_LINEAR)
    left, top = (image_size - fitted_width) / 2, (image_size - fitted_height) / 2
    border = (round(top - 0.1), round(top + 0.1), round(left - 0.1), round(left + 0.1))
    padded = cv2.copyMakeBorder(bgr, *border, cv2.BORDER_CONSTANT, value=(PAD_VALUE,) * 3)
    return cv2.cvtColor(padded, cv2.COLOR_BGR2RGB)


def reference(data: bytes, image_size: int) -> Image | None:
    """The letterboxed picture of an image file, or None where OpenCV cannot decode it."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if bgr is None else letterbox(bgr, image_size)


def encode(extension: str, bgr: Image) -> bytes:
    """An image file."""
    encoded, data = cv2.imencode(extension, bgr)
    assert encoded
    return data.tobytes()


def picture(*, height: int, width: int, seed: int = 0) -> Image:
    """Noise of two scales: fine enough that a shift by one pixel shows, coarse enough that JPEG keeps it."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (min(height, 24), min(width, 24), 3), np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, 3)
    fine = random.integers(0, 64, (height, width, 3), np.uint8)
    return cv2.addWeighted(smooth, 0.75, fine, 1.0, 0).reshape(height, width, 3)


def largest_difference(one: Image, other: Image) -> int:
    """Grey levels."""
    assert one.shape == other.shape
    return int(cv2.absdiff(one, other).max())
