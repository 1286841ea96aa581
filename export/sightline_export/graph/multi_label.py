"""Every class of a box as a candidate of its own, instead of its best class alone.

That is how the evaluations work that published tables come from: the `val` of Ultralytics and of the original YOLOv5
take each pair of a box and a class whose score is above the threshold, of these the best 30,000, and suppress within
each class. For predictions it brings hardly anything but second opinions about the same box.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sightline.errors import InvalidOptionError
from sightline_export.heads import Head
from sightline_export.script import Floats, Integers, graph_function, op

from .settings import MOST_PAIRS, STATIC_PAIRS, GraphSettings


def check_multi_label(head: Head) -> None:
    """Refuse layouts in which a candidate has one class only.

    Raises:
        InvalidOptionError: `head` is one of them.
    """
    if head.by_class is None:
        raise InvalidOptionError(
            f"--multi-label is not possible with a {head.name} head: each of its candidates comes with one class "
            f"({head.layout}); leave it out"
        )


def pair_limit(settings: GraphSettings) -> int:
    """Best pairs of a box and a class per image that go into the suppression."""
    most = STATIC_PAIRS if settings.nms == "static" else MOST_PAIRS
    return min(most, settings.candidate_count * settings.class_count)


def pairing(head: Head, settings: GraphSettings) -> tuple[Any, GraphSettings]:
    """The head's decoding with the best pairs of each image as candidates, and the settings of what comes out.

    The function is as `Head.decoding` describes it, with `pair_limit` candidates.

    Raises:
        InvalidOptionError: the head does not tell scores by class.
    """
    check_multi_label(head)
    assert head.by_class is not None
    decode, scores_by_class = head.decoding(settings.candidate_count), head.by_class.scores
    boxes_of_image, pairs_of_image = settings.candidate_count, settings.candidate_count * settings.class_count
    count = pair_limit(settings)

    @graph_function
    def pair(raw: Floats) -> tuple[Floats, Floats, Integers]:
        boxes, _scores, _classes = decode(raw)
        by_class = scores_by_class(raw)
        # NaN is not greater than anything, and has no place in an order.
        positive = op.Where(by_class > op.Constant(value_float=0.0), by_class, op.Constant(value_float=0.0))
        in_a_row = op.Reshape(positive, op.Constant(value_ints=[-1, pairs_of_image]))
        best_scores, index = op.TopK(in_a_row, op.Constant(value_ints=[count]), axis=1, largest=1, sorted=1)
        length = op.Constant(value_int=boxes_of_image)
        classes = index / length
        place = index - classes * length
        best_boxes = op.GatherND(boxes, op.Unsqueeze(place, op.Constant(value_ints=[2])), batch_dims=1)
        return best_boxes, best_scores, classes

    return pair, replace(settings, candidate_count=count, static_candidates=count)
