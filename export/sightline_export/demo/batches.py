"""Training batches: the drawn pictures, framed, mirrored and recoloured anew for every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .samples import Labelled, decode_rgb
from .sprite import Picture

# Less than this left of an object after framing, or smaller than this many pixels: too little to learn from.
_LEAST_LEFT, _LEAST_SIDE_PX = 0.45, 5.0


class Batch(NamedTuple):
    """`images`: uint8 [n, 3, side, side] RGB; per picture float [m, 4] boxes in its pixels and int64 [m] ids."""

    images: Tensor
    boxes_xyxy: list[Tensor]
    class_ids: list[Tensor]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How many steps there are, and what each sees: `batch` pictures of one of `sides` pixels, halved ones."""

    steps: int = 1200
    batch: int = 16
    sides: tuple[int, ...] = (288, 320, 352)

    def __post_init__(self) -> None:
        wrong = [side for side in self.sides if side < 64 or side % 32]
        if wrong:
            raise ValueError(f"sides {wrong} are not multiples of 32 from 64 up")
        if self.steps < 1 or self.batch < 1:
            raise ValueError(f"steps {self.steps} and batch {self.batch} must be at least 1")


class Batches(Dataset[Batch]):
    """One batch for each step, a function of the seed and the step alone."""

    def __init__(self, pictures: list[Labelled], schedule: Schedule, seed: int) -> None:
        self._pictures = pictures
        self._schedule = schedule
        self._seed = seed

    def __len__(self) -> int:
        """The number of steps."""
        return self._schedule.steps

    def __getitem__(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self._seed, step])
        side, count = int(rng.choice(self._schedule.sides)), self._schedule.batch
        chosen = rng.choice(len(self._pictures), count, replace=len(self._pictures) < count)
        framed = [frame(self._pictures[index], side, rng) for index in chosen]
        images = torch.from_numpy(np.stack([picture for picture, _, _ in framed])).permute(0, 3, 1, 2)
        boxes_xyxy = [torch.from_numpy(boxes) for _, boxes, _ in framed]
        return Batch(images.contiguous(), boxes_xyxy, [torch.from_numpy(ids) for _, _, ids in framed])


def frame(
    labelled: Labelled, side: int, rng: np.random.Generator
) -> tuple[Picture, NDArray[np.float32], NDArray[np.int64]]:
    """Scale and shift a picture into a square, half of the time exactly as served, and vary its colours."""
    picture = decode_rgb(labelled.jpeg)
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    room = np.array([side - width * scale, side - height * scale])
    shift = room / 2
    if rng.random() < 0.5:
        scale *= float(rng.uniform(0.65, 1.35))
        room = np.array([side - width * scale, side - height * scale])
        shift = room * rng.uniform(0, 1, 2)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    flags = cv2.INTER_LINEAR if scale > 0.7 else cv2.INTER_AREA
    square = cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderValue=(114, 114, 114))
    boxes_xyxy, kept = _move(labelled.boxes_xyxy, scale, shift, side)
    if rng.random() < 0.5:
        square = square[:, ::-1]
        boxes_xyxy[:, [0, 2]] = side - boxes_xyxy[:, [2, 0]]
    gain = rng.uniform(0.8, 1.2) * rng.uniform(0.93, 1.07, 3)
    coloured = np.clip(square * gain.astype(np.float32), 0, 255).astype(np.uint8)
    return coloured, boxes_xyxy, labelled.class_ids[kept]


def _move(
    boxes_xyxy: NDArray[np.float32], scale: float, shift: NDArray[np.float64], side: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Boxes in the square, cut at its border, and which of the old ones they are."""
    moved = boxes_xyxy * scale + np.concatenate([shift, shift])
    cut = np.clip(moved, 0, side)
    sides, full = cut[:, 2:] - cut[:, :2], moved[:, 2:] - moved[:, :2]
    left = sides.prod(1) / np.maximum(full.prod(1), 1e-9)
    kept = (left >= _LEAST_LEFT) & (sides.min(1, initial=np.inf) >= _LEAST_SIDE_PX)
    return cut[kept].astype(np.float32), kept
