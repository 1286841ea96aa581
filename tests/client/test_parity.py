"""The comparison finds every difference that is planted, and concludes nothing from too little."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sightline.detections import Detections
from sightline.errors import InvalidOptionError
from sightline.parity import (
    BF16_PARITY,
    FP32_PARITY,
    PRECISION_DEMANDS,
    Bar,
    Demand,
    Finding,
    ParityReport,
    compare,
    export_bar,
)

NAMES = ("person", "car", "dog")
SIZE_HW = (1000, 1000)
Objects = list[tuple[list[float], float, int]]
"""Box xyxy, score, class id."""


def detections(objects: Objects, *, size_hw: tuple[int, int] = SIZE_HW) -> Detections:
    boxes = np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in objects], np.float32)
    return Detections(boxes, scores, np.array([each[2] for each in objects], np.int32), NAMES, size_hw)


def scene(images: int = 10, objects: int = 12) -> dict[str, Objects]:
    """Boxes of 100 x 100 pixels that touch nobody."""
    return {
        f"{image}.jpg": [
            ([200 * (n % 4), 200 * (n // 4), 200 * (n % 4) + 100, 200 * (n // 4) + 100], 0.3 + 0.05 * n, n % 3)
            for n in range(objects)
        ]
        for image in range(images)
    }


def compared(reference: dict[str, Objects], candidate: dict[str, Objects]) -> ParityReport:
    return compare(
        {name: detections(objects) for name, objects in reference.items()},
        {name: detections(objects) for name, objects in candidate.items()},
    )


def counts(report: ParityReport) -> tuple[int, int, int, int]:
    return tuple(report.count(kind) for kind in ("matched", "missing", "extra", "set aside"))  # type: ignore[return-value]


def planted(change: Objects | None = None, *, extra: Objects | None = None) -> ParityReport:
    """A report where the first object of the first image is replaced, and more are added."""
    candidate = scene()
    if change is not None:
        candidate["0.jpg"][:1] = change
    candidate["0.jpg"] += extra or []
    return compared(scene(), candidate)


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


def test_too_many_loose_pairs() -> None:
    """2 of 240 are 0.8 %; 99.5 % must be close."""
    candidate = scene(images=20)
    for name in ("3.jpg", "4.jpg"):
        candidate[name][0] = ([0, 0, 100, 100], 0.32, 0)
    report = compared(scene(images=20), candidate)
    assert report.share_within(iou=0.95, score_difference=0.01) == pytest.approx(238 / 240)
    assert not report.passes(FP32_PARITY)
    assert "99.17% of the reference detections" in report.judge(FP32_PARITY).reasons[0]
    assert report.passes(BF16_PARITY)


def test_bf16_may_lose_four_of_a_hundred() -> None:
    for lost, passes in ((4, True), (5, False)):
        candidate = scene()
        for number in range(lost):
            candidate[f"{number}.jpg"].pop()
        assert compared(scene(), candidate).passes(BF16_PARITY) is passes


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


def test_what_is_set_aside_proves_nothing() -> None:
    """150 detections next to the threshold, of which the candidate finds none."""
    reference = scene(images=10, objects=15)
    for objects in reference.values():
        objects[:] = [(box, 0.253, class_id) for box, _, class_id in objects]
    report = compared(reference, {image: [] for image in reference})
    assert (report.reference, report.count("set aside")) == (0, 150)
    assert report.judge(FP32_PARITY).outcome == "inconclusive"


def test_a_tenth_of_a_hundred_may_be_extra() -> None:
    bar = export_bar("int8")
    assert [bar.allowed_extra(reference) for reference in (0, 99, 100, 1000)] == [0, 9, 10, 100]


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


def test_too_little_to_conclude_from() -> None:
    reference = scene(images=8, objects=12)
    report = compared(reference, reference)
    assert report.reference == 96
    verdict = report.judge(FP32_PARITY)
    assert verdict.outcome == "inconclusive"
    assert "96 reference detections allow no conclusion; at least 100" in verdict.reasons[0]
    assert not report.passes(FP32_PARITY)
    assert report.passes(dataclasses.replace(FP32_PARITY, minimum_reference=96))


def test_too_little_stays_inconclusive_when_it_is_also_wrong() -> None:
    report = compared(scene(images=2), {name: [] for name in scene(images=2)})
    assert report.judge(FP32_PARITY).outcome == "inconclusive"


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


def test_bars_out_of_range() -> None:
    with pytest.raises(InvalidOptionError):
        Demand(iou=2, score_difference=0, share=0)
    with pytest.raises(InvalidOptionError):
        Bar(demands=(), max_extra_share=-1)
    with pytest.raises(InvalidOptionError):
        Bar(demands=(), minimum_reference=0)


@pytest.mark.parametrize(("precision", "share"), [("fp32", 0.99), ("fp16", 0.99), ("bf16", 0.96), ("int8", 0.90)])
def test_the_bar_of_an_export(precision: str, share: float) -> None:
    bar = export_bar(precision)
    assert bar.demands == (PRECISION_DEMANDS[precision],)
    assert bar.demands[0].share == share
    assert bar.max_extra_share == pytest.approx(1 - share)
    assert export_bar(precision, min_match=0.5).demands[0] == dataclasses.replace(bar.demands[0], share=0.5)


def test_bars_of_exports_out_of_range() -> None:
    with pytest.raises(InvalidOptionError, match="'fp64' is not one of fp32, fp16, bf16, int8"):
        export_bar("fp64")
    with pytest.raises(InvalidOptionError, match=r"share that must match is 1\.5"):
        export_bar("fp32", min_match=1.5)


@pytest.mark.parametrize(("extra", "passes"), [(1, True), (2, False)])
def test_no_more_may_be_extra_than_missing(extra: int, *, passes: bool) -> None:
    report = planted(extra=[([800, 110 * n, 900, 110 * n + 100], 0.4, 2) for n in range(extra)])
    assert report.passes(export_bar("fp32")) is passes
    assert report.passes(export_bar("fp32", min_match=0.9))


def test_a_pair_that_is_too_far_apart_is_missing_and_extra() -> None:
    report = planted([([0, 0, 100, 112], 0.3, 0)])
    assert report.tally(PRECISION_DEMANDS["fp32"]) == (119, 1, 1)
    assert report.tally(PRECISION_DEMANDS["int8"]) == (120, 0, 0)
    assert report.tally(PRECISION_DEMANDS["fp32"]).missing == 1
    assert counts(report) == (120, 0, 0, 0)


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
