"""How far the raw predictions of an ONNX graph are from those of its source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import VerificationError

from .heads import Head

Raw = npt.NDArray[np.float32]

RAW_TOLERANCE = 5e-3
"""Largest difference of two raw tensors, of boxes as a part of the largest box coordinate, of scores as it is."""
_BOX_CHANNELS = 4
_LEAST_SCALE = 1e-12


@dataclass(frozen=True, kw_only=True)
class RawDifference:
    """The largest differences over some pictures.

    Attributes:
        boxes: of the box channels, as a part of the largest value in them.
        scores: of each other channel, as a part of the largest value in it or of 1, whichever is more.
    """

    boxes: float
    scores: float

    @property
    def worst(self) -> float:
        """The larger of the two."""
        return max(self.boxes, self.scores)


def raw_difference(source: Sequence[Raw], graph: Sequence[Raw], head: Head) -> RawDifference:
    """Compare the raw predictions for the same pictures.

    Args:
        source: of each picture, what the source gives, without the batch axis.
        graph: what the graph gives.
        head: layout of both.

    Raises:
        VerificationError: shapes differ, or values are no numbers.
    """
    boxes = scores = 0.0
    for wanted, came in zip(source, graph, strict=True):
        if wanted.shape != came.shape:
            raise VerificationError(f"the graph's raw output has shape {came.shape}, its source's has {wanted.shape}")
        if not (np.isfinite(wanted).all() and np.isfinite(came).all()):
            raise VerificationError("raw outputs hold NaN or infinity for an ordinary picture")
        rows_wanted, rows_came = (np.moveaxis(each, head.candidate_axis, 0) for each in (wanted, came))
        if not head.needs_nms:
            rows_wanted, rows_came = _settled(rows_wanted, rows_came, head.decode_numpy(wanted).scores)
        (box_wanted, rest_wanted), (box_came, rest_came) = (
            np.split(rows, [_BOX_CHANNELS], axis=1) for rows in (rows_wanted, rows_came)
        )
        boxes = max(boxes, _part(box_wanted, box_came, np.abs(box_wanted).max(initial=0.0)))
        scores = max(scores, _part(rest_wanted, rest_came, np.abs(rest_wanted).max(axis=0, initial=1.0)))
    return RawDifference(boxes=boxes, scores=scores)


def check_raw_difference(difference: RawDifference) -> None:
    """Refuse what is above `RAW_TOLERANCE`.

    Raises:
        VerificationError: it is.
    """
    if difference.worst > RAW_TOLERANCE:
        raise VerificationError(
            f"the graph's raw output differs from its source's by {difference.boxes:.2g} of the largest box coordinate "
            f"and {difference.scores:.2g} in scores; at most {RAW_TOLERANCE:g} is rounding. The network was not "
            "exported soundly: try another version of the packages that made the graph"
        )


def _part(wanted: Raw, came: Raw, scale: npt.NDArray[np.floating[Any]]) -> float:
    """The largest difference as a part of `scale`, a number or one for each channel."""
    return float((np.abs(wanted - came) / np.maximum(scale, _LEAST_SCALE)).max(initial=0.0))


def _settled(wanted: Raw, came: Raw, scores: Raw) -> tuple[Raw, Raw]:
    """Finished detections in an order that does not depend on the last digit of their scores.

    Each row is put beside the nearest one among those of the other side; rows whose score is next to the lowest, among
    which chance decides who is left out, are not compared.
    """
    sure = np.flatnonzero(scores > scores.min() + RAW_TOLERANCE)
    scale = np.abs(wanted).max(axis=0).clip(min=1.0)
    nearest = [int((np.abs(came - wanted[row]) / scale).max(axis=1).argmin()) for row in sure]
    return wanted[sure], came[nearest]
