"""How two detectors differ over the same images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .bars import Bar, Demand

_NAMED_DIFFERENCES = 5

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


class Tally(NamedTuple):
    """Detections when only pairs that are near enough count as matched; the two of any other are missing and extra."""

    matched: int
    missing: int
    extra: int


@dataclass(frozen=True)
class ParityReport:
    """How two detectors differ over the same images.

    Attributes:
        images: number of images compared.
        findings: what became of every detection, image by image.
    """

    images: int
    findings: tuple[Finding, ...] = field(repr=False)

    @property
    def reference(self) -> int:
        """Number of the reference's detections that are judged: those set aside prove nothing."""
        return self.count("matched") + self.count("missing")

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

    def tally(self, demand: Demand) -> Tally:
        """Detections that are matched, missing and extra where a pair must be as near as `demand` says."""
        pairs = self.count("matched")
        close = sum(_meets(pair, demand) for pair in self._pairs())
        apart = pairs - close
        return Tally(close, self.count("missing") + apart, self.count("extra") + apart)

    def share_within(self, *, iou: float, score_difference: float) -> float:
        """Share of the reference detections (without those set aside) that have so good a partner; 1 without any."""
        tally = self.tally(Demand(iou=iou, score_difference=score_difference, share=1.0))
        judged = tally.matched + tally.missing
        return tally.matched / judged if judged else 1.0

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
        extra, allowed = self.count("extra"), bar.allowed_extra(self.reference)
        if allowed is not None and extra > allowed:
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


def _meets(pair: Finding, demand: Demand) -> bool:
    return pair.iou >= demand.iou and pair.score_difference <= demand.score_difference
