"""Decoded pictures brought to size in memory that is used again, against OpenCV's bilinear resize."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from tests.server.letterbox_reference import Image, picture

from sightline import contract
from sightline.preprocessing import Preprocessing
from sightline_server.fitting import Fitter

SIDE = 320
# Height x width: three, five and seven times what they become, along one axis or both; even multiples; one pixel off.
SIZES = [(180 * 3, 320 * 3), (320 * 3, 7 * 3), (320 * 5, 320 * 5), (9 * 7, 320 * 7), (1, 320 * 3), (320 * 5, 1)]
SIZES += [(180 * 2, 320 * 2), (320 * 4, 20 * 4), (180 * 3, 320 * 3 - 1), (180 * 3 + 1, 320 * 3), (320, 40), (1, 1)]


def letterboxed(rgb: Image, side: int) -> Image:
    """Bilinear, in a grey square."""
    gain = min(side / rgb.shape[0], side / rgb.shape[1])
    height, width = (max(1, round(length * gain)) for length in rgb.shape[:2])
    square = np.full((side, side, 3), contract.PAD_VALUE, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    return square


@pytest.mark.parametrize("size_hw", SIZES, ids=str)
def test_letterbox(size_hw: tuple[int, int]) -> None:
    rgb = picture(height=size_hw[0], width=size_hw[1], seed=sum(size_hw))
    images, rectangles_hw = Fitter(Preprocessing.letterbox(SIDE), most=1).fit([rgb])
    assert np.array_equal(images[0], letterboxed(rgb, SIDE))
    assert rectangles_hw.tolist() == [[0, 0]]


def test_nothing_is_left_of_the_batch_before() -> None:
    fitter = Fitter(Preprocessing.letterbox(SIDE), most=3)
    shapes = [(320, 320), (320, 20), (20, 320), (180 * 3, 320 * 3), (31, 17)]
    pictures = [picture(height=h, width=w, seed=h) for h, w in shapes]
    for start in (0, 2, 1, 0):
        batch = pictures[start : start + 3]
        expected = [letterboxed(each, SIDE) for each in batch]
        assert np.array_equal(fitter.fit(batch).images, np.stack(expected))


def test_what_is_not_rounded_is_interpolated_so() -> None:
    """Between the pixels of an odd multiple too, where OpenCV's weights in FP32 need not be whole."""
    rgb = picture(height=SIDE * 3, width=SIDE * 3)
    (image,) = Fitter(Preprocessing.stretch_float(SIDE), most=1).fit([rgb]).images
    assert image.dtype == np.float32
    assert np.array_equal(image, cv2.resize(rgb.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR))


def test_pictures_of_varying_size_come_alone() -> None:
    fitter = Fitter(Preprocessing.resize(shorter=40, longest=60), most=1)
    pictures = [picture(height=80, width=h) for h in (100, 90)]
    assert fitter.fit(pictures[:1]).images.shape == (1, 40, 50, 3)
    with pytest.raises(ValueError, match="too many values"):
        fitter.fit(pictures)
