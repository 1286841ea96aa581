"""Raw outputs of a graph are told from those of another network, whatever rounding does to their order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from tests.export.tiny import prediction

from sightline.errors import VerificationError
from sightline_export.heads import ANCHORS_LAST, END_TO_END, HEADS, QUERIES
from sightline_export.raw_difference import RawDifference, check_raw_difference, raw_difference

Raw = npt.NDArray[np.float32]
FINISHED = [name for name, head in HEADS.items() if not head.needs_nms]
PLACED = [name for name in HEADS if name not in FINISHED]
ROWS = 60
GENERATOR = np.random.default_rng(7)


def raw_of(layout: str) -> Raw:
    return prediction(layout, classes=3, candidates=ROWS)


def rows_of(raw: Raw, layout: str) -> Raw:
    """A view with a row for each candidate."""
    return np.moveaxis(raw, HEADS[layout].candidate_axis, 0)


def best_of(raw: Raw, layout: str) -> int:
    return int(HEADS[layout].decode_numpy(raw).scores.argmax())


def compare(source: Raw, graph: Raw, layout: str) -> RawDifference:
    return raw_difference([source], [graph], HEADS[layout])


def refuse(source: Raw, graph: Raw, layout: str, reason: str) -> None:
    with pytest.raises(VerificationError, match=f"{reason}.*not exported soundly"):
        check_raw_difference(compare(source, graph, layout))


# --- candidates that have their places -------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [name for name in PLACED if name != "grid"])
def test_differences_are_measured_in_the_tensors_own_scale(layout: str) -> None:
    raw = raw_of(layout)
    assert compare(raw, raw, layout) == RawDifference(boxes=0, scores=0)
    came = raw.copy()
    moved = rows_of(came, layout)
    moved[3, 1] += 2.0
    moved[4, 4] += 0.01
    difference = compare(raw, came, layout)
    assert difference.boxes == pytest.approx(2.0 / np.abs(rows_of(raw, layout)[:, :4]).max(), rel=1e-3)
    assert difference.scores == pytest.approx(0.01, rel=1e-3)
    refuse(raw, came, layout, "raw output differs from its source's")


@pytest.mark.parametrize("layout", PLACED)
def test_one_candidate_in_another_place_is_another_network(layout: str) -> None:
    raw = raw_of(layout)
    came = raw.copy()
    rows_of(came, layout)[[3, 4]] = rows_of(raw, layout)[[4, 3]]
    refuse(raw, came, layout, "raw output differs from its source's")


# --- finished detections ---------------------------------------------------------------------------------------------


def test_what_the_sources_own_rounding_does_is_allowed_up_to_a_bound() -> None:
    difference = RawDifference(boxes=0.001, scores=0.02)
    check_raw_difference(difference, rounding=0.03)
    with pytest.raises(VerificationError, match=r"0\.02 in scores; at most 0\.01 is rounding"):
        check_raw_difference(difference, rounding=0.01)
    with pytest.raises(VerificationError, match=r"0\.02 in scores; at most 0\.005 is rounding"):
        check_raw_difference(difference, rounding=0.001)
    with pytest.raises(VerificationError, match=r"0\.2 in scores; at most 0\.1 is rounding"):
        check_raw_difference(RawDifference(boxes=0.0, scores=0.2), rounding=0.9)


@pytest.mark.parametrize("layout", FINISHED)
def test_finished_detections_may_stand_in_any_order(layout: str) -> None:
    raw = raw_of(layout)
    assert compare(raw, raw[GENERATOR.permutation(ROWS)], layout) == RawDifference(boxes=0, scores=0)


@pytest.mark.parametrize("layout", FINISHED)
def test_rounding_is_told_and_no_more(layout: str) -> None:
    raw = raw_of(layout)
    came = raw.copy()
    came[:, :4] *= np.float32(1 + 1e-4)
    difference = compare(raw, came, layout)
    check_raw_difference(difference)
    assert difference.matched == 1
    assert difference.boxes == pytest.approx(1e-4, rel=0.01)


@pytest.mark.parametrize("layout", FINISHED)
def test_a_shifted_box_is_missed(layout: str) -> None:
    raw = raw_of(layout)
    came = raw.copy()
    came[best_of(raw, layout), 0] += 0.02 * raw[:, :4].max()
    refuse(raw, came, layout, r"only 9\d\.\d% are in both")


@pytest.mark.parametrize("layout", FINISHED)
def test_all_boxes_shifted(layout: str) -> None:
    raw = raw_of(layout)
    came = raw.copy()
    came[:, 0] += 0.02 * raw[:, :4].max()
    assert compare(raw, came, layout).matched < 0.1


@pytest.mark.parametrize("layout", FINISHED)
def test_swapped_classes_are_missed(layout: str) -> None:
    raw = raw_of(layout)
    came = raw.copy()
    if HEADS[layout].by_class is None:
        came[:, 5] = 2 - raw[:, 5]
    else:
        came[:, [4, 6]] = raw[:, [6, 4]]
    refuse(raw, came, layout, "are in both")


def test_one_class_among_a_thousand_is_another() -> None:
    raw = raw_of("end_to_end")
    raw[:, 5] += 1200
    came = raw.copy()
    came[:, 5] += 1
    assert compare(raw, came, "end_to_end").matched == 0


@pytest.mark.parametrize("layout", FINISHED)
@pytest.mark.parametrize("instead", ["nothing", "another"])
def test_a_dropped_row_is_missed_on_either_side(instead: str, layout: str) -> None:
    raw = raw_of(layout)
    best = best_of(raw, layout)
    came = raw.copy()
    came[best] = 0 if instead == "nothing" else raw[best - 1 if best else 1]
    refuse(raw, came, layout, "are in both")
    refuse(came, raw, layout, "are in both")


def test_the_weakest_may_be_left_out() -> None:
    raw = raw_of("end_to_end")
    came = raw.copy()
    came[-1] = (1, 1, 2, 2, raw[-1, 4], 0)
    difference = compare(raw, came, "end_to_end")
    assert 0.995 < difference.matched < 1
    check_raw_difference(difference)


def test_equal_scores_are_compared_all_the_same() -> None:
    """A network with random weights is as sure of everything."""
    raw = raw_of("end_to_end")
    raw[:, 4] = 0.5 + GENERATOR.uniform(0, 1e-4, ROWS)
    check_raw_difference(compare(raw, raw[::-1], "end_to_end"))
    came = raw.copy()
    came[:, :4] = raw_of("queries")[:, :4] * 320
    refuse(raw, came, "end_to_end", "are in both")


def test_nothing_found_on_one_side_only() -> None:
    raw = raw_of("end_to_end")
    empty = np.zeros_like(raw)
    assert raw_difference([empty], [empty], END_TO_END) == RawDifference(boxes=0, scores=0)
    for source, graph in ((raw, empty), (empty, raw)):
        refuse(source, graph, "end_to_end", r"only 0\.0% are in both")


def test_one_picture_in_which_too_little_is_the_same_is_not_enough_to_refuse() -> None:
    """A suppression inside a network that decides between two equal boxes otherwise decides about little."""
    many, few = raw_of("end_to_end"), raw_of("end_to_end")[:1] * np.array([1, 1, 1, 1, 0.1, 1], np.float32)
    other = few + np.array([50, 0, 50, 0, 0, 0], np.float32)
    difference = raw_difference([many, few], [many, other], END_TO_END)
    assert difference.matched < 1
    check_raw_difference(difference)


# --- what cannot be compared -----------------------------------------------------------------------------------------


def test_outputs_that_cannot_be_compared() -> None:
    raw = raw_of("anchors_last")
    with pytest.raises(VerificationError, match="has shape"):
        raw_difference([raw], [raw[:, :-1]], ANCHORS_LAST)
    with pytest.raises(VerificationError, match="NaN"):
        raw_difference([raw], [np.full_like(raw, np.nan)], ANCHORS_LAST)
    for head, none in ((QUERIES, np.zeros((0, 7), np.float32)), (ANCHORS_LAST, np.zeros((7, 0), np.float32))):
        with pytest.raises(VerificationError, match="hold nothing to compare"):
            raw_difference([none], [none], head)
