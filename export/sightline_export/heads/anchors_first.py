"""`[N, A, 5 + classes]`: the original YOLOv5, YOLOv6 and YOLOv7, with an objectness beside the class scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline_export.script import Floats, Integers, graph_function, op

from ._head import ByClass, Candidates, Head
from ._steps import best_class, corners


@graph_function
def best_with_objectness(raw: Floats) -> tuple[Floats, Integers]:
    """Of [N, A, 5 + classes]: the best class's score times the objectness [N, A], and the class [N, A]."""
    # The objectness is the same for every class of an anchor, so the best class can be found without it.
    best, classes = best_class(raw[:, :, 5:])
    scores = best * op.Squeeze(raw[:, :, 4:5], op.Constant(value_ints=[2]))
    return scores, classes


@graph_function
def _decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
    boxes = corners(raw)
    scores, classes = best_with_objectness(raw)
    return boxes, scores, classes


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    return Candidates.with_best_class(raw[:, :4], _scores_numpy(raw))


@graph_function
def _scores(raw: Floats) -> Floats:
    return op.Transpose(raw[:, :, 5:] * raw[:, :, 4:5], perm=[0, 2, 1])


def _scores_numpy(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    confidence: npt.NDArray[np.float32] = raw[:, 5:] * raw[:, 4:5]
    return confidence


WITH_OBJECTNESS = ByClass(_scores, _scores_numpy)
"""Every class's score times the objectness."""


def _class_count(dims: tuple[int, int]) -> int | None:
    anchors, channels = dims
    return channels - 5 if 5 < channels < anchors else None


ANCHORS_FIRST = Head(
    name="anchors_first",
    layout="[N, A, 5 + classes]: centre x, centre y, width, height in pixels, objectness, then a score per class "
    "(original YOLOv5, YOLOv6, YOLOv7)",
    needs_nms=True,
    candidate_axis=0,
    decoding=lambda _: _decode,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
    by_class=WITH_OBJECTNESS,
)
