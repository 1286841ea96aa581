"""`[N, A, 5 + classes]`: the original YOLOv5, YOLOv6 and YOLOv7, with an objectness beside the class scores."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.boxes import xywh_to_xyxy
from sightline_export.script import Floats, Integers, graph_function, op

from ._head import ByClass, Candidates, Head


@graph_function
def _decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
    centre = raw[:, :, 0:2]
    half = raw[:, :, 2:4] * op.Constant(value_float=0.5)
    boxes = op.Concat(centre - half, centre + half, axis=-1)
    # The objectness is the same for every class of an anchor, so the best class can be found without it.
    objectness = op.Squeeze(raw[:, :, 4:5], op.Constant(value_ints=[2]))
    by_class = raw[:, :, 5:]
    scores = op.ReduceMax(by_class, op.Constant(value_ints=[2]), keepdims=0) * objectness
    classes = op.ArgMax(by_class, axis=2, keepdims=0)
    return boxes, scores, classes


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    confidence = raw[:, 5:] * raw[:, 4:5]
    return Candidates(xywh_to_xyxy(raw[:, :4]), confidence.max(axis=1), confidence.argmax(axis=1))


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
