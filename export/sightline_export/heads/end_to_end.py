"""`[N, K, 6]`: finished detections, as the NMS-free heads of v10 and 26 give them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline_export.script import INT64, Floats, Integers, graph_function, op

from ._head import Candidates, Head


@graph_function
def score_and_class(raw: Floats) -> tuple[Floats, Integers]:
    """Of finished detections [N, K, 6]: scores float32 [N, K], classes int64 [N, K]."""
    scores = op.Squeeze(raw[:, :, 4:5], op.Constant(value_ints=[2]))
    named = op.Squeeze(raw[:, :, 5:6], op.Constant(value_ints=[2]))
    # A class that is no number would become an arbitrary integer.
    finite = op.Where(op.Abs(named) < op.Constant(value_float=1e6), named, op.Constant(value_float=0.0))
    classes = op.Cast(op.Round(finite), to=INT64)
    return scores, classes


@graph_function
def _decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
    boxes = raw[:, :, 0:4]
    scores, classes = score_and_class(raw)
    return boxes, scores, classes


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    return Candidates(raw[:, :4], raw[:, 4], raw[:, 5].round().astype(np.int64))


def _class_count(dims: tuple[int, int]) -> int | None:
    return 0 if dims[1] == 6 else None


END_TO_END = Head(
    name="end_to_end",
    layout="[N, K, 6]: x1, y1, x2, y2 in pixels, score, class (NMS-free YOLOv10, YOLO26)",
    needs_nms=False,
    candidate_axis=0,
    decoding=lambda _: _decode,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
)
