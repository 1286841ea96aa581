"""How far the raw predictions of an ONNX graph are from those of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.errors import VerificationError

from .heads import Head

Raw = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

RAW_TOLERANCE = 5e-3
"""Largest difference of two raw tensors, of boxes as a part of the largest box coordinate, of scores as it is."""
LEAST_MATCHED = 0.995
"""Share of finished detections, counted by their scores, that both sides must have.

The last digit decides on the order of equal scores, on who is left out at the end of the list, and on which of two
equal boxes a suppression inside the network keeps; so single weak ones may be on one side only.
"""
MOST_ROUNDING = 0.1
"""Where the source's own output moves by more than this with the last digits of its input, that excuses nothing."""
_BOX_CHANNELS = 4
_LEAST_SCALE = 1e-12


@dataclass(frozen=True, kw_only=True)
class RawDifference:
    """The differences over some pictures.

    Attributes:
        boxes: the largest one of the box channels, as a part of the largest value in them.
        scores: the largest one of the other channels.
        matched: of finished detections, the share that has a partner on the other side, counted by their scores, on
            the side where it is less; 0 to 1. `boxes` and `scores` then are those of the partners. 1 where each
            candidate has its place.
    """

    boxes: float
    scores: float
    matched: float = 1.0

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.boxes, self.scores)


@dataclass(frozen=True)
class _Rows:
    """Raw predictions of one picture, a row for each candidate; boxes as a part of the largest of the source's."""

    boxes: Raw
    rest: Raw

    def only(self, indices: Indices) -> _Rows:
        return _Rows(self.boxes[indices], self.rest[indices])


def raw_difference(source: Sequence[Raw], graph: Sequence[Raw], head: Head) -> RawDifference:
    """Compare the raw predictions for the same pictures.

    Candidates that have their places are compared with the one in the same place. Finished detections, as the heads
    without NMS give them, have no places: each is paired with the nearest of the other side that is within
    `RAW_TOLERANCE` and free.

    Args:
        source: of each picture, what the source gives, without the batch axis.
        graph: what the graph gives.
        head: layout of both.

    Raises:
        VerificationError: shapes differ, values are no numbers, or there is nothing to compare.
    """
    boxes = scores = 0.0
    found, paired = np.zeros(2), np.zeros(2)
    for wanted, came in zip(source, graph, strict=True):
        _check_comparable(wanted, came)
        rows_wanted, rows_came = _rows(wanted, came, head)
        if not head.needs_nms:
            pairs = _pairs(rows_wanted, rows_came)
            for side, raw in enumerate((wanted, came)):
                weights = head.decode_numpy(raw).scores.astype(np.float64).clip(min=0.0)
                found[side] += weights.sum()
                paired[side] += weights[pairs[side]].sum()
            rows_wanted, rows_came = rows_wanted.only(pairs[0]), rows_came.only(pairs[1])
        boxes = max(boxes, float(np.abs(rows_wanted.boxes - rows_came.boxes).max(initial=0.0)))
        scores = max(scores, float(np.abs(rows_wanted.rest - rows_came.rest).max(initial=0.0)))
    # Nothing found is nothing missed; where the other side found something, its share is 0.
    shares = np.divide(paired, found, out=np.ones(2), where=found > 0)
    return RawDifference(boxes=boxes, scores=scores, matched=float(shares.min()))


def check_raw_difference(difference: RawDifference, *, rounding: float = 0.0) -> None:
    """Refuse what is above `RAW_TOLERANCE`, or has too few partners within it.

    Args:
        difference: of a graph and its source.
        rounding: by how much the source's own output moves with the last digits of its input; up to `MOST_ROUNDING` it
            is allowed where it is more than `RAW_TOLERANCE`. Networks with random weights can be as restless as that.

    Raises:
        VerificationError: it is.
    """
    tolerance = max(RAW_TOLERANCE, min(rounding, MOST_ROUNDING))
    if difference.matched < LEAST_MATCHED:
        came = (
            f"of the detections in the graph's raw output and its source's, counted by their scores, only "
            f"{difference.matched:.1%} are in both; at least {LEAST_MATCHED:.1%} must be"
        )
    elif difference.worst > tolerance:
        came = (
            f"the graph's raw output differs from its source's by {difference.boxes:.2g} of the largest box coordinate "
            f"and {difference.scores:.2g} in scores; at most {tolerance:.2g} is rounding"
        )
    else:
        return
    raise VerificationError(
        f"{came}. The network was not exported soundly: try another version of the packages that made the graph"
    )


def _check_comparable(wanted: Raw, came: Raw) -> None:
    if wanted.shape != came.shape:
        raise VerificationError(f"the graph's raw output has shape {came.shape}, its source's has {wanted.shape}")
    if not wanted.size:
        raise VerificationError(f"raw outputs of shape {wanted.shape} hold nothing to compare")
    if not (np.isfinite(wanted).all() and np.isfinite(came).all()):
        raise VerificationError("raw outputs hold NaN or infinity for an ordinary picture")


def _rows(wanted: Raw, came: Raw, head: Head) -> tuple[_Rows, _Rows]:
    parts = [np.split(np.moveaxis(raw, head.candidate_axis, 0), [_BOX_CHANNELS], axis=1) for raw in (wanted, came)]
    scale = max(float(np.abs(parts[0][0]).max(initial=0.0)), _LEAST_SCALE)
    first, second = (_Rows(boxes / scale, rest) for boxes, rest in parts)
    return first, second


def _pairs(wanted: _Rows, came: _Rows) -> tuple[Indices, Indices]:
    """Rows of both sides that are within the tolerance of each other, each in one pair at the most; nearest first."""
    apart = np.abs(wanted.boxes[:, None] - came.boxes[None]).max(axis=2)
    mine, other = np.nonzero(apart <= RAW_TOLERANCE)
    distance = np.maximum(apart[mine, other], np.abs(wanted.rest[mine] - came.rest[other]).max(axis=1, initial=0.0))
    free = np.ones((2, len(wanted.boxes)), dtype=bool)
    pairs: list[tuple[int, int]] = []
    for index in np.argsort(distance, kind="stable"):
        if distance[index] > RAW_TOLERANCE:
            break
        if free[0, mine[index]] and free[1, other[index]]:
            free[0, mine[index]] = free[1, other[index]] = False
            pairs.append((int(mine[index]), int(other[index])))
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return first, second
