"""The comparison finds every difference that is planted."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.client.parity_scenes import compared, counts, detections, planted, scene

from sightline.errors import InvalidOptionError
from sightline.parity import BF16_PARITY, FP32_PARITY, Finding, compare


def test_nothing_at_all() -> None:
    report = compared({}, {})
    assert counts(report) == (0, 0, 0, 0)
    assert (report.worst_iou, report.worst_score_difference) == (1.0, 0.0)
    assert report.judge(FP32_PARITY).outcome == "inconclusive"


def test_the_same() -> None:
    report = planted()
    assert counts(report) == (120, 0, 0, 0)
    assert (report.worst_iou, report.worst_score_difference) == (1.0, 0.0)
    assert report.passes(FP32_PARITY)
    assert report.passes(BF16_PARITY)


def test_order_does_not_matter() -> None:
    candidate = {name: objects[::-1] for name, objects in scene().items()}
    assert compared(scene(), candidate).passes(FP32_PARITY)


def test_a_missing_one() -> None:
    report = planted([])
    assert counts(report) == (119, 1, 0, 0)
    verdict = report.judge(FP32_PARITY)
    assert verdict.outcome == "failed"
    assert any("0.jpg: missing person 0.300" in reason for reason in verdict.reasons)


def test_an_extra_one() -> None:
    report = planted(extra=[([800, 800, 900, 900], 0.4, 2)])
    assert counts(report) == (120, 0, 1, 0)
    [*_, worst] = report.judge(FP32_PARITY).reasons
    assert "0.jpg: extra dog 0.400" in worst
    assert report.passes(BF16_PARITY)


def test_an_extra_one_at_the_same_place() -> None:
    """One partner is enough: a second box on the same object is extra."""
    report = planted(extra=[([0, 0, 100, 101], 0.9, 0)])
    assert counts(report) == (120, 0, 1, 0)
    assert report.worst_iou == 1.0


def test_another_class() -> None:
    report = planted([([0, 0, 100, 100], 0.3, 1)])
    assert counts(report) == (119, 1, 1, 0)
    assert not report.passes(FP32_PARITY)


def test_classes_are_compared_by_name() -> None:
    reference = {"a": detections([([0, 0, 10, 10], 0.9, 1)])}
    renumbered = dataclasses.replace(reference["a"], class_ids=np.array([0], np.int32), class_names=("car", "person"))
    assert counts(compare(reference, {"a": renumbered})) == (1, 0, 0, 0)


@pytest.mark.parametrize(
    ("right", "matched", "fp32"),
    [
        (104, True, True),  # IoU 0.9615
        (108, True, True),  # IoU 0.9259: one of 120 may be below 0.95, as 99.5 % of 120 is 119.4
        (112, True, False),  # IoU 0.8929
        (250, False, False),  # IoU 0.4
    ],
)
def test_a_shifted_box(right: float, *, matched: bool, fp32: bool) -> None:
    candidate = scene(images=20)
    reference = scene(images=20)
    candidate["0.jpg"][0] = ([0, 0, right, 100], 0.3, 0)
    report = compared(reference, candidate)
    assert counts(report) == ((240, 0, 0, 0) if matched else (239, 1, 1, 0))
    assert report.passes(FP32_PARITY) is fp32
    if matched:
        assert report.worst_iou == pytest.approx(100 / right, abs=1e-6)


@pytest.mark.parametrize(("score", "fp32"), [(0.309, True), (0.32, True), (0.335, False), (0.9, False)])
def test_another_score(score: float, *, fp32: bool) -> None:
    candidate = scene(images=20)
    candidate["3.jpg"][0] = ([0, 0, 100, 100], score, 0)
    report = compared(scene(images=20), candidate)
    assert report.worst_score_difference == pytest.approx(score - 0.3, abs=1e-6)
    assert report.passes(FP32_PARITY) is fp32


@pytest.mark.parametrize(("score", "kind"), [(0.2501, "set aside"), (0.2549, "set aside"), (0.2551, "missing")])
def test_next_to_the_threshold_either_side_is_fine(score: float, kind: str) -> None:
    reference, candidate = scene(), scene()
    reference["5.jpg"].append(([800, 800, 900, 900], score, 1))
    for first, second in ((reference, candidate), (candidate, reference)):
        report = compared(first, second)
        [other] = [finding for finding in report.findings if finding.kind != "matched"]
        assert (other.image, other.class_name) == ("5.jpg", "car")
        assert other.kind == ("extra" if kind == "missing" and first is candidate else kind)
        assert report.passes(FP32_PARITY) is (kind == "set aside")


def test_what_is_set_aside_counts_in_no_share() -> None:
    reference, candidate = scene(), scene()
    for objects in reference.values():
        objects.append(([800, 800, 900, 900], 0.251, 1))
    report = compared(reference, candidate)
    assert counts(report) == (120, 0, 0, 10)
    assert report.share_within(iou=1.0, score_difference=0.0) == 1.0


def test_below_the_threshold_nothing_counts() -> None:
    reference, candidate = scene(), scene()
    reference["0.jpg"].append(([800, 800, 900, 900], 0.2, 1))
    candidate["1.jpg"].append(([800, 800, 900, 900], 0.249, 1))
    assert counts(compared(reference, candidate)) == (120, 0, 0, 0)


def test_the_best_overlap_is_paired_first() -> None:
    """Two neighbours, each with its own partner, though the first would also do for the second."""
    reference = {"a": detections([([0, 0, 100, 100], 0.9, 0), ([0, 20, 100, 120], 0.8, 0)])}
    candidate = {"a": detections([([0, 21, 100, 121], 0.9, 0), ([0, 1, 100, 101], 0.8, 0)])}
    report = compare(reference, candidate)
    assert report.worst_iou == pytest.approx(99 / 101)


def test_the_images_must_be_the_same() -> None:
    with pytest.raises(InvalidOptionError, match=r"only one has: 1\.jpg"):
        compared(scene(images=2), scene(images=1))
    turned = {"0.jpg": detections([], size_hw=(1000, 999))}
    with pytest.raises(InvalidOptionError, match="EXIF"):
        compare({"0.jpg": detections([])}, turned)


@pytest.mark.parametrize("option", ["score_threshold", "threshold_allowance", "pairing_iou"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_options_out_of_range(option: str, value: float) -> None:
    with pytest.raises(InvalidOptionError, match="from 0 to 1"):
        compare({}, {}, **{option: value})


def with_margin(reference_score: float, candidate_score: float) -> Finding:
    """What becomes of one object that both found."""
    box = [0.0, 0.0, 100.0, 100.0]
    reference, candidate = ({"a": detections([(box, score, 0)])} for score in (reference_score, candidate_score))
    [finding] = compare(reference, candidate, score_threshold=0.25, partner_margin=0.05).findings
    return finding


@pytest.mark.parametrize(
    ("reference", "candidate", "kind"),
    [
        (0.27, 0.23, "matched"),  # the partner is below the threshold
        (0.27, 0.19, "missing"),  # too far below
        (0.23, 0.27, "set aside"),  # the reference has it as well
        (0.21, 0.27, "extra"),  # but it is much surer here
        (0.19, 0.27, "extra"),
        (0.27, 0.26, "matched"),
    ],
)
def test_partners_below_the_threshold(reference: float, candidate: float, kind: str) -> None:
    assert with_margin(reference, candidate).kind == kind


def test_partners_below_the_threshold_are_not_counted() -> None:
    low = {"a": detections([([0, 0, 100, 100], 0.23, 0), ([200, 0, 300, 100], 0.24, 0)])}
    report = compare(low, low, partner_margin=0.05)
    assert (report.reference, report.findings) == (0, ())


@pytest.mark.parametrize(("right", "matched"), [(0.2, 1), (0.4, 1), (0.9, 0)])
def test_slivers_are_paired_by_their_corners(right: float, matched: int) -> None:
    """Such as clipping leaves of a box beyond an edge: the IoU of two of them says nothing."""
    reference = {"a": detections([([0, 10, 0, 90], 0.9, 0), ([500, 10, 600, 90], 0.9, 0)])}
    candidate = {"a": detections([([0, 10, right, 90], 0.9, 0), ([500, 10, 600, 90], 0.9, 0)])}
    report = compare(reference, candidate)
    assert report.count("matched") == 1 + matched
    assert report.worst_iou == 1.0


def test_texts() -> None:
    report = planted([([0, 0, 100, 110], 0.32, 0)])
    assert report.summary() == (
        "120 reference detections in 10 images: 120 matched, 0 missing, 0 extra, 0 set aside, "
        "worst IoU 0.9091, worst score difference 0.0200"
    )
    [worst] = report.worst(1)
    assert str(worst) == "0.jpg: matched person 0.300, IoU 0.909, scores differ by 0.020"
    assert str(Finding("b.jpg", "extra", "car", 0.5)) == "b.jpg: extra car 0.500"
    assert str(FP32_PARITY.demands[1]) == "99.5% within IoU 0.95 and score 0.01"
