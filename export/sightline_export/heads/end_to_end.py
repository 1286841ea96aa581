"""`[N, K, 6]`: finished detections, as the NMS-free heads of v10 and 26 give them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnxscript import FLOAT, INT64, script
from onnxscript import opset18 as op

from ._head import Candidates, Head


@script(default_opset=op)
def _decode(raw: FLOAT["N", "K", 6]):  # type: ignore[no-untyped-def]  # noqa: ANN202, F821
    boxes = raw[:, :, 0:4]
    scores = op.Squeeze(raw[:, :, 4:5], op.Constant(value_ints=[2]))
    named = op.Squeeze(raw[:, :, 5:6], op.Constant(value_ints=[2]))
    # A class that is no number would become an arbitrary integer.
    finite = op.Where(op.Abs(named) < op.Constant(value_float=1e6), named, op.Constant(value_float=0.0))
    classes = op.Cast(op.Round(finite), to=INT64.dtype)
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
    decode=_decode,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
)
