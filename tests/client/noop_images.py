"""Small real images, and what the echoing no-op detector finds in them."""

from __future__ import annotations

import numpy as np

from sightline import EncodedImage, Result
from sightline_bench.noop_model import fingerprint

POISON = "POISON-PILL"
BLAME = "BLAME-ME"


def numbered(number: int, *, tail: bytes = b"") -> EncodedImage:
    """A BMP of 2 x 3 pixels that no other number has; bytes behind the end of a BMP are no part of the picture."""
    pixels = np.full((2, 3, 3), 255, np.uint8)
    pixels[0] = (number & 255, number >> 8 & 255, number >> 16 & 255)
    plain = EncodedImage.from_array(pixels, source=f"number {number}")
    return EncodedImage(plain.source, plain.data + tail) if tail else plain


def found(result: Result) -> int:
    """What the echoing detector saw; raises the result's error where there is one."""
    return int(result.unwrap().boxes_xyxy[0, 0])


def expected(image: EncodedImage) -> int:
    return fingerprint(image.data)
