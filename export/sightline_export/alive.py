"""Refuses networks that answer every picture alike, as badly quantised ones do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sightline.errors import VerificationError

from .heads import Candidates, Head

_ADVICE = (
    "Quantising a model badly does that, for one when boxes of hundreds of pixels and scores of 0 to 1 share one "
    "scale: export it anew without quantisation, or leave its last layers out of it. If it is sound and only finds "
    "nothing here, give pictures of its objects with --sample"
)


def check_alive(outputs: Sequence[npt.NDArray[np.float32]], head: Head, *, may_be_empty: bool = False) -> None:
    """Refuse raw outputs that do not depend on the picture.

    Args:
        outputs: of different pictures, at least two, each without the batch axis; float32.
        head: their layout.
        may_be_empty: whether the network leaves weak detections out itself, so that zeros only say that there is
            nothing in these pictures.

    Raises:
        VerificationError: all of them are the same, or all scores are, or each picture has the same boxes.
    """
    count = len(outputs)
    first = outputs[0]
    if may_be_empty and not any(output.any() for output in outputs):
        return
    if all(np.array_equal(first, output) for output in outputs[1:]):
        what = "nothing but zeros" if not first.any() else "exactly the same numbers"
        raise VerificationError(f"the network gives {what} for {count} different pictures. {_ADVICE}")
    candidates = [head.decode_numpy(output) for output in outputs]
    scores = np.concatenate([each.scores for each in candidates])
    if scores.size and scores.min() == scores.max():
        raise VerificationError(
            f"each of the network's {scores.size} scores for {count} different pictures is {scores[0]:.3g}. {_ADVICE}"
        )
    if _same_boxes(candidates):
        raise VerificationError(
            f"the network gives {count} different pictures the same boxes, with other scores. {_ADVICE}"
        )


def _same_boxes(candidates: Sequence[Candidates]) -> bool:
    first = candidates[0].boxes_xyxy
    return all(np.array_equal(first, each.boxes_xyxy) for each in candidates[1:])
