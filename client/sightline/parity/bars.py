"""What a candidate has to reach to count as the same detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sightline.contract import check_fraction
from sightline.errors import InvalidOptionError

MINIMUM_REFERENCE = 100
"""Fewer reference detections allow no conclusion."""


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

    def allowed_extra(self, reference: int) -> int | None:
        """Most extra detections beside so many of the reference; None where any number is allowed."""
        # A share such as 1 - 0.9 is a little less than a tenth.
        return None if self.max_extra_share is None else int(round(self.max_extra_share * reference, 6))


PRECISION_DEMANDS: Mapping[str, Demand] = {
    "fp32": Demand(iou=0.95, score_difference=0.01, share=0.99),
    "fp16": Demand(iou=0.95, score_difference=0.02, share=0.99),
    "bf16": Demand(iou=0.95, score_difference=0.05, share=0.96),
    "int8": Demand(iou=0.80, score_difference=0.15, share=0.90),
}
"""What an export must reach, by the arithmetic of its engine: how near a pair must be to count as matched, and the
share of the reference detections that must be. FP32 leaves a grey level of bilinear rounding; FP16 has 11 significant
bits, BF16 has 8; INT8 has 8 with one scale for a whole tensor, and each engine rounds to them in its own way."""


def export_bar(precision: str, *, min_match: float | None = None) -> Bar:
    """The bar of an export: no more extra detections are allowed than missing ones.

    Args:
        precision: a key of `PRECISION_DEMANDS`.
        min_match: share of the reference detections that must be matched, 0 to 1; None takes the precision's.

    Raises:
        InvalidOptionError: an unknown precision, or a share out of range.
    """
    demand = PRECISION_DEMANDS.get(precision)
    if demand is None:
        raise InvalidOptionError(f"precision {precision!r} is not one of {', '.join(PRECISION_DEMANDS)}")
    if min_match is not None:
        demand = replace(demand, share=check_fraction("the share that must match", min_match))
    return Bar(demands=(demand,), max_extra_share=1 - demand.share)


FP32_PARITY = Bar(
    demands=(Demand(iou=0.90, score_difference=0.03, share=1.0), replace(PRECISION_DEMANDS["fp32"], share=0.995)),
    max_extra_share=0.0,
)
"""Stricter than an export's bar: every detection has its partner, nearly all of them a very close one, and there are no
others."""
BF16_PARITY = export_bar("bf16")
