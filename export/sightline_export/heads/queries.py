"""`[N, Q, 4 + classes]`: RT-DETR and its kin, whose queries find each object once.

The boxes are centre, width and height as parts of the picture's width and height (arXiv 2005.12872, section 3.1).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sightline.boxes import xywh_to_xyxy
from sightline_export.script import Floats, Integers, graph_function, op

from ._head import ByClass, Candidates, Head
from ._steps import best_class, corners
from .end_to_end import score_and_class


@graph_function
def _decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
    boxes = corners(raw)
    scores, classes = best_class(raw[:, :, 4:])
    return boxes, scores, classes


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    return Candidates.with_best_class(raw[:, :4], _scores_numpy(raw))


@graph_function
def _scores(raw: Floats) -> Floats:
    return op.Transpose(raw[:, :, 4:], perm=[0, 2, 1])


def _scores_numpy(raw: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return raw[:, 4:]


def _class_count(dims: tuple[int, int]) -> int | None:
    return dims[1] - 4 if dims[1] > 4 else None


QUERIES = Head(
    name="queries",
    layout="[N, Q, 4 + classes]: centre x, centre y, width, height as parts of the picture, then a score per class "
    "(RT-DETR)",
    needs_nms=False,
    candidate_axis=0,
    decoding=lambda _: _decode,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
    by_class=ByClass(_scores, _scores_numpy),
)


@graph_function
def _decode_ranked(raw: Floats) -> tuple[Floats, Floats, Integers]:
    boxes = corners(raw)
    scores, classes = score_and_class(raw)
    return boxes, scores, classes


def _decode_ranked_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    return Candidates(xywh_to_xyxy(raw[:, :4]), raw[:, 4], raw[:, 5].round().astype(np.int64))


RANKED_QUERIES = Head(
    name="ranked_queries",
    layout="[N, K, 6]: centre x, centre y, width, height as parts of the picture, score, class (RT-DETR as Ultralytics "
    "8.4 ranks its queries; one may stand there for several classes)",
    needs_nms=False,
    candidate_axis=0,
    decoding=lambda _: _decode_ranked,
    decode_numpy=_decode_ranked_numpy,
    class_count=lambda dims: 0 if dims[1] == 6 else None,
)
