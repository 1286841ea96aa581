"""Pictures for training and for measuring: drawn by seed, kept as JPEG bytes."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from .draw import SMALLEST_PX, draw_scene, random_options
from .sprite import Picture

# Seeds that must stay apart: the detector never trains on what it is measured on, nor on the sample pictures.
TRAINING_SEED, HELD_OUT_SEED, SAMPLE_PICTURES_SEED = 1, 2, 3
# Training has objects of every size; it is measured on those that a demonstration shows.
MEASURED_SMALLEST_PX = 64.0
_JPEG_QUALITY = 90


class Labelled(NamedTuple):
    """An encoded picture and its truth: `boxes_xyxy` float32 [n, 4] in pixels, `class_ids` int64 [n]."""

    jpeg: bytes
    boxes_xyxy: NDArray[np.float32]
    class_ids: NDArray[np.int64]


def labelled_picture(index: int, *, seed: int, smallest_px: float = SMALLEST_PX) -> Labelled:
    """Draw picture number `index` of the endless series that `seed` and `smallest_px` stand for."""
    rng = np.random.default_rng([seed, index])
    scene = draw_scene(rng, random_options(rng, smallest_px=smallest_px))
    return Labelled(encode_jpeg(scene.picture), scene.boxes_xyxy, scene.class_ids)


def held_out_set(*, seed: int = HELD_OUT_SEED, count: int = 200) -> Iterator[Labelled]:
    """Pictures that training never saw, as (jpeg bytes, boxes_xyxy, class_ids), drawn one by one."""
    if seed == TRAINING_SEED:
        raise ValueError(f"seed {seed} draws the training pictures; take any other")
    return (labelled_picture(index, seed=seed, smallest_px=MEASURED_SMALLEST_PX) for index in range(count))


def training_set(*, seed: int, count: int, processes: int) -> list[Labelled]:
    """Draw `count` pictures with some processes; the result does not depend on how many."""
    with ProcessPoolExecutor(processes) as pool:
        return list(pool.map(partial(labelled_picture, seed=seed), range(count), chunksize=16))


def encode_jpeg(picture: Picture, *, quality: int = _JPEG_QUALITY) -> bytes:
    """RGB uint8 [h, w, 3] as JPEG bytes."""
    encoded, data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not encoded:
        raise ValueError(f"OpenCV could not encode a picture of shape {picture.shape} as JPEG")
    return data.tobytes()


def decode_rgb(jpeg: bytes) -> Picture:
    """JPEG bytes as RGB uint8 [h, w, 3], turned as its EXIF says."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError(f"OpenCV could not decode {len(jpeg)} bytes as a picture")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)


class Framed(NamedTuple):
    """A picture scaled into a square: uint8 [side, side, 3] RGB, and what undoes it: x = (X - left) / scale."""

    picture: Picture
    scale: float
    left: int
    top: int


def letterbox(picture: Picture, side: int) -> Framed:
    """Fit a picture into the middle of a grey (114) square of `side` pixels."""
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (side - size_wh[0]) // 2, (side - size_wh[1]) // 2
    square = np.full((side, side, 3), 114, np.uint8)
    scaled = cv2.resize(picture, size_wh, interpolation=cv2.INTER_LINEAR)
    square[top : top + size_wh[1], left : left + size_wh[0]] = scaled
    return Framed(square, scale, left, top)
