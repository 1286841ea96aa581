"""What a comparison must reach to pass, and concludes nothing from too little."""

from __future__ import annotations

import dataclasses

import pytest
from tests.client.parity_scenes import compared, counts, planted, scene

from sightline.errors import InvalidOptionError
from sightline.parity import BF16_PARITY, FP32_PARITY, PRECISION_DEMANDS, Bar, Demand, export_bar


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
