"""Pictures that are drawn, not shipped: to warm models up with, and to verify an export on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sightline.boxes import letterbox
from sightline.contract import ORIGINAL_SHAPE, PAD_VALUE, RECTANGLE, SCORE_THRESHOLD
from sightline.preprocessing import Preprocessing

Picture = npt.NDArray[np.uint8]
"""uint8 (height, width, 3), RGB."""

_WARMUP_SIZE_HW = (360, 480)
_SAMPLE_SIZES_HW = ((480, 640), (853, 1280), (700, 400), (97, 61))
_JPEG_QUALITY = 85


def draw_scene(size_hw: tuple[int, int], *, seed: int) -> Picture:
    """A sky over a ground with discs, boxes and noise: edges, flat areas and texture; the same for the same seed."""
    generator = np.random.default_rng(seed)
    height, width = size_hw
    falling = np.linspace(0, 1, height)[:, None, None]
    sky, ground = generator.integers(90, 255, 3), generator.integers(20, 130, 3)
    scene = np.broadcast_to(sky * (1 - falling) + ground * falling, (height, width, 3)).astype(np.uint8).copy()
    for _ in range(12):
        x, y = int(generator.integers(0, width)), int(generator.integers(0, height))
        reach = int(generator.integers(max(2, height // 20), max(4, height // 5)))
        colour = tuple(int(value) for value in generator.integers(0, 255, 3))
        if generator.random() < 0.5:
            cv2.circle(scene, (x, y), reach, colour, thickness=-1, lineType=cv2.LINE_AA)
        else:
            cv2.rectangle(scene, (x, y), (x + reach, y + 2 * reach), colour, thickness=-1)
    noise = generator.normal(0, 6, scene.shape)
    noisy: Picture = np.clip(scene + noise, 0, 255).astype(np.uint8)
    return noisy


def sample_pictures() -> list[Picture]:
    """Pictures of different sizes and shapes, one with an odd border and one that is enlarged."""
    return [draw_scene(size_hw, seed=seed) for seed, size_hw in enumerate(_SAMPLE_SIZES_HW)]


def warmup_jpeg() -> bytes:
    """A small JPEG file."""
    scene = draw_scene(_WARMUP_SIZE_HW, seed=0)
    written, data = cv2.imencode(".jpg", scene[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    assert written
    return bytes(data)


def warmup_shape() -> bytes:
    """The `original_shape` of the warm-up picture as raw little-endian int64."""
    return np.array([*_WARMUP_SIZE_HW, 3], dtype="<i8").tobytes()


def preprocess(picture: Picture, preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """The picture as the network sees it: (H, W, 3) of the type of `preprocessing.images`."""
    if preprocessing.has_borders:
        return fit(picture, *preprocessing.sides)
    size_hw = preprocessing.seen_hw((picture.shape[0], picture.shape[1]))
    return _resize(picture.astype(preprocessing.images.dtype), size_hw)


def served_inputs(
    pictures: Sequence[Picture], preprocessing: Preprocessing, score_thresholds: Sequence[float]
) -> dict[str, npt.NDArray[Any]]:
    """`preprocessing.network_inputs` for a request of these pictures, by name."""
    inputs: dict[str, npt.NDArray[Any]] = {
        ORIGINAL_SHAPE.name: np.array([picture.shape for picture in pictures], dtype=np.int64),
        SCORE_THRESHOLD.name: np.array(score_thresholds, dtype=np.float32)[:, None],
    }
    if preprocessing.kind != "rect":
        inputs[preprocessing.images.name] = np.stack([preprocess(picture, preprocessing) for picture in pictures])
        return inputs
    side, stride = preprocessing.sides
    inputs[preprocessing.images.name] = np.stack([fit(picture, side) for picture in pictures])
    seen_hw = np.array([preprocessing.seen_hw((picture.shape[0], picture.shape[1])) for picture in pictures])
    inputs[RECTANGLE.name] = np.zeros((len(pictures), *(seen_hw.max(axis=0) // stride)), RECTANGLE.dtype)
    return inputs


def fit(picture: Picture, image_size: int, stride: int | None = None) -> Picture:
    """The picture with grey borders, as `letterbox_*` gives it: a square, or with a stride the rectangle in it."""
    place = letterbox(image_size_hw=(picture.shape[0], picture.shape[1]), input_size=image_size, stride=stride)
    height, width = place.resized_hw
    resized = _resize(picture, place.resized_hw)
    fitted = np.full((*place.input_hw, 3), PAD_VALUE, dtype=np.uint8)
    fitted[place.top : place.top + height, place.left : place.left + width] = resized
    return fitted


def _resize(picture: npt.NDArray[Any], size_hw: tuple[int, int]) -> npt.NDArray[Any]:
    """Bilinear, without antialiasing."""
    return cv2.resize(picture, size_hw[::-1], interpolation=cv2.INTER_LINEAR).astype(picture.dtype, copy=False)
