"""Whether two detectors find the same: one-to-one matching, and a verdict that needs enough to go by.

    report = compare(reference, candidate, score_threshold=0.25)
    verdict = report.judge(FP32_PARITY)

Boxes of the same class in the same image are paired, best IoU first. What is left over counts as missing or extra,
unless its score is so near the threshold that the arithmetic's last digit decides on which side it falls: such a
detection is set aside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from sightline.boxes import pairwise_iou
from sightline.contract import DEFAULT_SCORE_THRESHOLD, check_fraction
from sightline.detections import Detections
from sightline.errors import InvalidOptionError

PAIRING_IOU = 0.5
"""Boxes that overlap less are two objects, not two opinions about one."""
THRESHOLD_ALLOWANCE = 0.005
"""A detection whose score is this near the threshold may be on either side of it."""
MINIMUM_REFERENCE = 100
"""Fewer reference detections allow no conclusion."""
_NAMED_DIFFERENCES = 5


@dataclass(frozen=True, kw_only=True)
class Demand:
    """So many of the reference detections must have so good a partner.

    Attributes:
        iou: lowest IoU of the pair, 0 to 1.
        score_difference: largest difference of the two scores, 0 to 1.
        share: share of the reference detections, 0 to 1.
    """

    iou: float
    score_difference: float
    share: float

    def __post_init__(self) -> None:
        check_fraction("IoU", self.iou)
        check_fraction("score difference", self.score_difference)
        check_fraction("share", self.share)

    def __str__(self) -> str:
        return f"{self.share:.1%} within IoU {self.iou:g} and score {self.score_difference:g}"


@dataclass(frozen=True, kw_only=True)
class Bar:
    """What a candidate has to reach to count as the same detector.

    Attributes:
        demands: all of them must be met.
        max_extra_share: most extra detections, as a share of the reference's; None allows any number.
        minimum_reference: with fewer reference detections nothing is concluded.
    """

    demands: tuple[Demand, ...]
    max_extra_share: float | None = None
    minimum_reference: int = MINIMUM_REFERENCE

    def __post_init__(self) -> None:
        if self.max_extra_share is not None:
            check_fraction("share of extra detections", self.max_extra_share)
        if self.minimum_reference < 1:
            raise InvalidOptionError(f"minimum_reference is {self.minimum_reference}; it must be at least 1")


FP32_PARITY = Bar(
    demands=(
        Demand(iou=0.90, score_difference=0.03, share=1.0),
        Demand(iou=0.95, score_difference=0.01, share=0.995),
    ),
    max_extra_share=0.0,
)
"""Every detection has its partner, nearly all of them a very close one, and there are no others."""
BF16_PARITY = Bar(demands=(Demand(iou=0.95, score_difference=0.05, share=0.96),))
"""What the 8 significant bits of bfloat16 allow."""

Kind = Literal["matched", "missing", "extra", "set aside"]


@dataclass(frozen=True)
class Finding:
    """What became of one detection, or of a pair.

    Attributes:
        image: name of the image.
        kind: a pair is matched; without a partner, one of the reference is missing, one of the candidate extra, and
            either is set aside when its score is next to the threshold.
        class_name: class of the detection.
        score: its score (the reference's of a pair), 0 to 1.
        iou: IoU of the pair; 0 without a partner.
        score_difference: absolute difference of the pair's scores; 0 without a partner.
    """

    image: str
    kind: Kind
    class_name: str
    score: float
    iou: float = 0.0
    score_difference: float = 0.0

    def __str__(self) -> str:
        pair = f", IoU {self.iou:.3f}, scores differ by {self.score_difference:.3f}" if self.kind == "matched" else ""
        return f"{self.image}: {self.kind} {self.class_name} {self.score:.3f}{pair}"


@dataclass(frozen=True)
class Verdict:
    """The conclusion, and why.

    Attributes:
        outcome: whether the bar was reached, or whether there was too little to go by, which is no pass.
        reasons: one sentence for each demand that was not met; empty when it passed.
    """

    outcome: Literal["passed", "failed", "inconclusive"]
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class ParityReport:
    """How two detectors differ over the same images.

    Attributes:
        images: number of images compared.
        reference: number of the reference's detections, set-aside ones included.
        findings: what became of every detection, image by image.
    """

    images: int
    reference: int
    findings: tuple[Finding, ...] = field(repr=False)

    def count(self, kind: Kind) -> int:
        """Number of findings of a kind."""
        return sum(finding.kind == kind for finding in self.findings)

    @property
    def worst_iou(self) -> float:
        """Lowest IoU of the pairs; 1 without pairs."""
        return min((finding.iou for finding in self._pairs()), default=1.0)

    @property
    def worst_score_difference(self) -> float:
        """Largest difference of the pairs' scores; 0 without pairs."""
        return max((finding.score_difference for finding in self._pairs()), default=0.0)

    def share_within(self, *, iou: float, score_difference: float) -> float:
        """Share of the reference detections (without those set aside) that have so good a partner; 1 without any."""
        judged = self.count("matched") + self.count("missing")
        close = sum(pair.iou >= iou and pair.score_difference <= score_difference for pair in self._pairs())
        return close / judged if judged else 1.0

    def judge(self, bar: Bar) -> Verdict:
        """Whether the candidate counts as the same detector."""
        if self.reference < bar.minimum_reference:
            reason = f"{self.reference} reference detections allow no conclusion; at least {bar.minimum_reference} do"
            return Verdict("inconclusive", (f"{reason}: give more images, or images with more objects",))
        reasons = []
        for demand in bar.demands:
            share = self.share_within(iou=demand.iou, score_difference=demand.score_difference)
            if share < demand.share:
                reasons.append(f"{share:.2%} of the reference detections have such a partner; demanded: {demand}")
        extra = self.count("extra")
        if bar.max_extra_share is not None and extra > bar.max_extra_share * self.reference:
            allowed = int(bar.max_extra_share * self.reference)
            reasons.append(f"{extra} extra detections; allowed: {allowed}")
        if not reasons:
            return Verdict("passed")
        worst = "; ".join(map(str, self.worst(_NAMED_DIFFERENCES)))
        return Verdict("failed", (*reasons, f"worst: {worst}"))

    def passes(self, bar: Bar) -> bool:
        """Whether the verdict is `passed`; an inconclusive comparison does not pass."""
        return self.judge(bar).outcome == "passed"

    def worst(self, number: int) -> list[Finding]:
        """The gravest findings: missing and extra ones of the highest score, then the loosest pairs."""
        alone = [finding for finding in self.findings if finding.kind in ("missing", "extra")]
        alone.sort(key=lambda finding: -finding.score)
        pairs = sorted(self._pairs(), key=lambda pair: pair.iou - pair.score_difference)
        return (alone + pairs)[:number]

    def summary(self) -> str:
        """One line for people."""
        return (
            f"{self.reference} reference detections in {self.images} images: {self.count('matched')} matched, "
            f"{self.count('missing')} missing, {self.count('extra')} extra, {self.count('set aside')} set aside, "
            f"worst IoU {self.worst_iou:.4f}, worst score difference {self.worst_score_difference:.4f}"
        )

    def _pairs(self) -> Iterator[Finding]:
        return (finding for finding in self.findings if finding.kind == "matched")


def compare(
    reference: Mapping[str, Detections],
    candidate: Mapping[str, Detections],
    *,
    score_threshold: float = DEFAULT_SCORE_THRESHOLD,
    threshold_allowance: float = THRESHOLD_ALLOWANCE,
    pairing_iou: float = PAIRING_IOU,
) -> ParityReport:
    """Match what two detectors found in the same images.

    Args:
        reference: what ought to be found, by image; detections below the threshold are left out on both sides.
        candidate: what was found, for the same images; give an image that failed no detections.
        score_threshold: the threshold that both were run with, 0 to 1.
        threshold_allowance: how near the threshold a score sets a detection without a partner aside, 0 to 1.
        pairing_iou: lowest IoU of a pair, 0 to 1.

    Raises:
        InvalidOptionError: the images are not the same ones, or differ in size; or a number is out of range.
    """
    check_fraction("score threshold", score_threshold)
    check_fraction("threshold allowance", threshold_allowance)
    check_fraction("pairing IoU", pairing_iou)
    if reference.keys() != candidate.keys():
        names = ", ".join(sorted(reference.keys() ^ candidate.keys())[:_NAMED_DIFFERENCES])
        raise InvalidOptionError(f"reference and candidate are not about the same images; only one has: {names}")
    findings: list[Finding] = []
    total = 0
    for image, expected in reference.items():
        found = candidate[image]
        if tuple(expected.image_size_hw) != tuple(found.image_size_hw):
            sizes = f"{expected.image_size_hw} for the reference and {found.image_size_hw} for the candidate"
            raise InvalidOptionError(f"{image}: height and width are {sizes}; one of them ignores EXIF rotation?")
        kept = expected.only(expected.scores >= score_threshold)
        total += len(kept)
        for finding in _findings(image, kept, found.only(found.scores >= score_threshold), pairing_iou=pairing_iou):
            near = abs(finding.score - score_threshold) <= threshold_allowance
            alone = finding.kind != "matched"
            findings.append(_set_aside(finding) if near and alone else finding)
    return ParityReport(len(reference), total, tuple(findings))


def _set_aside(finding: Finding) -> Finding:
    return Finding(finding.image, "set aside", finding.class_name, finding.score)


def _findings(image: str, expected: Detections, found: Detections, *, pairing_iou: float) -> Iterator[Finding]:
    pairs = list(_pairs(expected, found, pairing_iou=pairing_iou))
    for mine, other, iou in pairs:
        score = float(expected.scores[mine])
        difference = abs(score - float(found.scores[other]))
        yield Finding(image, "matched", _name(expected, mine), score, iou, difference)
    alone: tuple[tuple[Kind, Detections, set[int]], ...] = (
        ("missing", expected, {mine for mine, _, _ in pairs}),
        ("extra", found, {other for _, other, _ in pairs}),
    )
    for kind, detections, paired in alone:
        for index in range(len(detections)):
            if index not in paired:
                yield Finding(image, kind, _name(detections, index), float(detections.scores[index]))


def _pairs(expected: Detections, found: Detections, *, pairing_iou: float) -> Iterator[tuple[int, int, float]]:
    """Indices and IoU of pairs of the same class, each detection in one at the most; best IoU first."""
    iou = pairwise_iou(expected.boxes_xyxy.astype(np.float64), found.boxes_xyxy.astype(np.float64))
    taken: tuple[set[int], set[int]] = (set(), set())
    candidates = np.argwhere((iou >= pairing_iou) & (iou > 0))
    for mine, other in candidates[np.argsort(-iou[tuple(candidates.T)], kind="stable")].tolist():
        if mine in taken[0] or other in taken[1] or _name(expected, mine) != _name(found, other):
            continue
        taken[0].add(mine)
        taken[1].add(other)
        yield mine, other, float(iou[mine, other])


def _name(detections: Detections, index: int) -> str:
    return detections.class_names[int(detections.class_ids[index])]
