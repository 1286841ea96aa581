"""What the members of a group find, compared with what each finds when it is asked alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline import Client, ClientOptions, Detections, Result

BATCH_SIZE = 8
_TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class Agreement:
    """One member's.

    Attributes:
        objects: found alone, in all images.
        images_identical: images whose detections are the same to the last bit.
        images_same: images with the same objects, in the same order, of the same classes.
        largest_shift_pixels: of any side of a box, where the objects are the same.
        largest_score_difference: likewise.
    """

    objects: int
    images_identical: int
    images_same: int
    largest_shift_pixels: float
    largest_score_difference: float


def compare(alone: Sequence[Detections], grouped: Sequence[Detections]) -> Agreement:
    """Both of the same images, in the same order."""
    pairs = list(zip(alone, grouped, strict=True))
    same = [pair for pair in pairs if np.array_equal(pair[0].class_ids, pair[1].class_ids)]
    shifts = [float(np.abs(one.boxes_xyxy - other.boxes_xyxy).max(initial=0)) for one, other in same]
    scores = [float(np.abs(one.scores - other.scores).max(initial=0)) for one, other in same]
    return Agreement(
        objects=sum(map(len, alone)),
        images_identical=sum(shift == 0 and score == 0 for shift, score in zip(shifts, scores, strict=True)),
        images_same=len(same),
        largest_shift_pixels=max(shifts, default=0.0),
        largest_score_difference=max(scores, default=0.0),
    )


def agreements(
    url: str, group: str, members: Iterable[str], images: Sequence[Path], *, score_threshold: float
) -> dict[str, Agreement]:
    """Every member's, by name; the server serves the group and each member.

    Raises:
        SightlineError: an image failed.
    """
    together = [result.unwrap_group() for result in _stream(url, group, images, score_threshold)]
    found = {}
    for member in members:
        alone = [result.unwrap() for result in _stream(url, member, images, score_threshold)]
        found[member] = compare(alone, [result[member] for result in together])
    return found


def _stream(url: str, model: str, images: Sequence[Path], score_threshold: float) -> list[Result]:
    with Client(url, model=model, options=ClientOptions(timeout_seconds=_TIMEOUT_SECONDS)) as client:
        return list(client.stream(images, batch_size=BATCH_SIZE, score_threshold=score_threshold))
