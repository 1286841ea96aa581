"""Layouts are recognised by shape, and never guessed."""

from __future__ import annotations

import numpy as np
import pytest
from tests.export.tiny import prediction

from sightline.errors import InvalidOptionError, UnknownHeadError
from sightline_export.heads import HEADS, recognise


@pytest.mark.parametrize(
    ("shape", "class_count", "head"),
    [
        ((1, 84, 8400), 80, "anchors_last"),
        ((1, 84, 8400), None, "anchors_last"),
        ((1, 5, 8400), 1, "anchors_last"),
        ((1, 6, 8400), 2, "anchors_last"),
        ((1, 25200, 85), 80, "anchors_first"),
        ((1, 25200, 85), None, "anchors_first"),
        ((1, 300, 6), 80, "end_to_end"),
        ((1, 5, 6), 3, "end_to_end"),
    ],
)
def test_recognised(shape: tuple[int, ...], class_count: int | None, head: str) -> None:
    assert recognise(shape, class_count=class_count).name == head


@pytest.mark.parametrize("class_count", [None, 1])
def test_one_class_with_objectness_looks_like_finished_detections(class_count: int | None) -> None:
    with pytest.raises(UnknownHeadError, match="anchors_first and end_to_end; say which with --head"):
        recognise((1, 300, 6), class_count=class_count)
    assert recognise((1, 300, 6), class_count=class_count, wanted="end_to_end").name == "end_to_end"


@pytest.mark.parametrize("shape", [(1, 1000), (1, 3, 80, 80, 85), (1, 4, 8400), (1, 8400, 4), (1, 80, 80)])
def test_unknown_shapes_list_the_known(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnknownHeadError) as caught:
        recognise(shape, class_count=None)
    assert all(name in str(caught.value) for name in HEADS)


def test_a_wrong_number_of_classes_says_the_right_one() -> None:
    with pytest.raises(UnknownHeadError, match="with 3 classes; that shape has 80 classes as anchors_last"):
        recognise((1, 84, 8400), class_count=3)


def test_the_wanted_head_must_fit() -> None:
    with pytest.raises(UnknownHeadError, match="no known layout for --head end_to_end"):
        recognise((1, 84, 8400), class_count=80, wanted="end_to_end")
    with pytest.raises(InvalidOptionError, match="choose one of anchors_last, anchors_first, end_to_end"):
        recognise((1, 84, 8400), class_count=80, wanted="yolox")


@pytest.mark.parametrize("name", HEADS)
def test_heads_tell_their_class_count(name: str) -> None:
    output = prediction(name, classes=4, candidates=60)
    assert HEADS[name].class_count((output.shape[0], output.shape[1])) in (4, 0)
    assert HEADS[name].decode_numpy(output).boxes_xyxy.shape == (output.shape[HEADS[name].candidate_axis], 4)
    assert np.isfinite(HEADS[name].decode_numpy(output).scores).all()
