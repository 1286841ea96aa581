"""`[N, 4 + classes, A]`: Ultralytics v3u, v5u, v8, v9, 11, 12, and the one-to-many heads of v10 and 26."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline_export.script import Floats, Integers, graph_function, op

from ._head import ByClass, Candidates, Head
from ._steps import corners


@graph_function
def _decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
    boxes = corners(op.Transpose(raw[:, :4, :], perm=[0, 2, 1]))
    by_class = raw[:, 4:, :]
    scores = op.ReduceMax(by_class, op.Constant(value_ints=[1]), keepdims=0)
    classes = op.ArgMax(by_class, axis=1, keepdims=0)
    return boxes, scores, classes


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    return Candidates.with_best_class(raw.T[:, :4], _scores_numpy(raw))


@graph_function
def _scores(raw: Floats) -> Floats:
    return op.Identity(raw[:, 4:, :])


def _scores_numpy(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    by_anchor: npt.NDArray[np.float32] = raw.T
    return by_anchor[:, 4:]


def _class_count(dims: tuple[int, int]) -> int | None:
    channels, anchors = dims
    return channels - 4 if 4 < channels < anchors else None


ANCHORS_LAST = Head(
    name="anchors_last",
    layout="[N, 4 + classes, A]: centre x, centre y, width, height in pixels, then a score per class (Ultralytics v8)",
    needs_nms=True,
    candidate_axis=1,
    decoding=lambda _: _decode,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
    by_class=ByClass(_scores, _scores_numpy),
)
