"""Brings decoded pictures to a network's size with OpenCV, on a CPU many times faster than DALI."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.contract import PAD_VALUE
from sightline.preprocessing import Preprocessing

Picture = npt.NDArray[Any]


class Fitted(NamedTuple):
    """`images` [N, H, W, 3] and `rectangles_hw` int64 [N, 2], as in `pipeline.Pictures`."""

    images: Picture
    rectangles_hw: npt.NDArray[np.int64]


class Fitter:
    """Does what the pipeline of a preprocessing model does behind the decoder, bit by bit as OpenCV does it.

    The pictures are written once, into memory that is kept: on the way through DALI, each would be copied twice more,
    and the system would have to clear new memory for every batch.

    Args:
        preprocessing: how pictures are brought to size.
        most: pictures at once, where all are of one size.
    """

    def __init__(self, preprocessing: Preprocessing, *, most: int) -> None:
        import cv2

        self._resize = cv2.resize
        self._bilinear, self._centre = cv2.INTER_LINEAR, cv2.INTER_NEAREST_EXACT
        self._preprocessing = preprocessing
        self._dtype = np.dtype(preprocessing.images.dtype)
        side = preprocessing.image_size
        self._square = Preprocessing.letterbox(side) if side and preprocessing.has_borders else None
        self._kept = np.empty((most, side, side, 3), self._dtype) if side else None

    def fit(self, decoded: Sequence[Picture]) -> Fitted:
        """Pictures, uint8 [H, W, 3] RGB each; where sizes vary, only one. The arrays stay valid until the next call.

        Raises:
            ValueError: several, where sizes vary.
        """
        rectangles_hw = np.zeros((len(decoded), 2), np.int64)
        if self._kept is None:
            (picture,) = decoded
            images = np.empty((1, *self._preprocessing.seen_hw(picture.shape[:2]), 3), self._dtype)
        else:
            images = self._kept[: len(decoded)]
        for index, picture in enumerate(decoded):
            self._write(picture, images[index])
            if self._preprocessing.kind == "rect":
                stride = self._preprocessing.sides[-1]
                rectangles_hw[index] = [side // stride for side in self._preprocessing.seen_hw(picture.shape[:2])]
        return Fitted(images, rectangles_hw)

    def _write(self, picture: Picture, place: Picture) -> None:
        if self._square is not None:
            fitted = self._square.fitting(picture.shape[:2])
            (height, width), top, left = fitted.resized_hw, fitted.top, fitted.left
            inner = place[top : top + height, left : left + width]
            for border in (place[:top], place[top + height :], place[:, :left], place[:, left + width :]):
                border[:] = PAD_VALUE
            place = inner
        if picture.shape == place.shape:
            place[:] = picture
        elif picture.dtype == place.dtype and _is_odd_multiple(picture.shape[:2], place.shape[:2]):
            self._resize(picture, place.shape[1::-1], dst=place, interpolation=self._centre)
        else:
            picture = picture.astype(place.dtype, copy=False)
            self._resize(picture, place.shape[1::-1], dst=place, interpolation=self._bilinear)


def _is_odd_multiple(size_hw: tuple[int, ...], of_hw: tuple[int, ...]) -> bool:
    """Whether each side is 1, 3, 5 ... times the other's, as 1920 x 1080 is of 640 x 360.

    Then every new pixel lies in the middle of an old one, which is all that bilinear interpolation takes: the same
    result for half the work.
    """
    return all(side % part == 0 and side // part % 2 for side, part in zip(size_hw, of_hw, strict=True))


def has_opencv() -> bool:
    """Whether it is installed."""
    return importlib.util.find_spec("cv2") is not None
