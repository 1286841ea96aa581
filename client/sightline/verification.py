"""What became of the comparison of a served detector with its source, as the detector itself tells."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from sightline.contract import check_fraction
from sightline.errors import InvalidOptionError
from sightline.parity import MINIMUM_REFERENCE

Outcome = Literal["passed", "inconclusive", "skipped"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How the served detector and its source differed over a sample of images.

    Attributes:
        outcome: `passed`; `inconclusive` with fewer than `parity.MINIMUM_REFERENCE` reference detections, or where the
            engine ran in another precision than the detector asks for; or `skipped`.
            A comparison that failed has no record, as nothing is installed then.
        images: number of images compared.
        reference: number of the source's detections in them.
        matched: how many of those the served detector gave as well.
        missing: how many it did not give, or not nearly enough the same.
        extra: what it gave besides.
        worst_iou: lowest IoU of a box and its partner, 0 to 1.
        worst_score_difference: largest difference of their scores, 0 to 1.
        min_match: share of the reference that had to be matched, 0 to 1.
        precision: arithmetic of the engine that ran the served detector then, which may be another than it asks for;
            empty where that is not known.

    Raises:
        InvalidOptionError: an unknown outcome, a negative count, or a fraction out of range.
    """

    outcome: Outcome
    images: int = 0
    reference: int = 0
    matched: int = 0
    missing: int = 0
    extra: int = 0
    worst_iou: float = 1.0
    worst_score_difference: float = 0.0
    min_match: float = 0.0
    precision: str = ""

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise InvalidOptionError(f"outcome {self.outcome!r} is not one of {', '.join(OUTCOMES)}")
        for name in ("images", "reference", "matched", "missing", "extra"):
            if (count := getattr(self, name)) < 0:
                raise InvalidOptionError(f"{name} is {count}; it must be at least 0")
        for name in ("worst_iou", "worst_score_difference", "min_match"):
            check_fraction(name, getattr(self, name))

    @property
    def verified(self) -> bool:
        """Whether the detector was seen to do what its source does; only a pass says so."""
        return self.outcome == "passed"

    @property
    def lacking(self) -> int:
        """Reference detections that are needed, beyond those that there were, for a conclusion."""
        return max(0, MINIMUM_REFERENCE - self.reference)

    @property
    def worst(self) -> str:
        """The worst pair, in words."""
        return f"worst IoU {self.worst_iou:.3f}, worst score difference {self.worst_score_difference:.3f}"

    @property
    def counts(self) -> str:
        """What was compared, in words."""
        others = f"{self.missing} missing, {self.extra} extra"
        ran_in = f", run in {self.precision}" if self.precision else ""
        return f"{self.matched} of {self.reference} matched in {self.images} images, {others}, {self.worst}{ran_in}"

    def __str__(self) -> str:
        """In one line, for people."""
        if self.outcome == "passed":
            return f"verified: {self.counts}"
        if self.outcome == "skipped":
            return f"UNVERIFIED: {NEVER_COMPARED}"
        if not self.lacking:
            return f"UNVERIFIED: in another precision only; {self.counts}"
        return f"UNVERIFIED: only {self.reference} reference detections, {self.lacking} too few; {self.counts}"

    def to_json(self) -> str:
        """The value of the parameter."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Verification:
        """The reverse of `to_json`.

        Raises:
            ValueError, TypeError: it is none.
        """
        return cls(**json.loads(text))


NEVER_COMPARED = "never compared with its source (exported with --no-gate)"
NO_RECORD = "UNVERIFIED: it does not say whether it was compared with its source"


def describe_verification(verification: Verification | None) -> str:
    """In one line, for people; also where a detector says nothing about it."""
    return NO_RECORD if verification is None else str(verification)
