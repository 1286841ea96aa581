"""Whether two detectors find the same: one-to-one matching, and a verdict that needs enough to go by.

    report = compare(reference, candidate, score_threshold=0.25)
    verdict = report.judge(FP32_PARITY)

Boxes of the same class in the same image are paired, best IoU first. What is left over counts as missing or extra,
unless its score is so near the threshold that the arithmetic's last digit decides on which side it falls: such a
detection is set aside. How near the two of a pair must be depends on the arithmetic: see `bars`.
"""

from __future__ import annotations

from .bars import BF16_PARITY, FP32_PARITY, MINIMUM_REFERENCE, PRECISION_DEMANDS, Bar, Demand, export_bar
from .matching import PAIRING_IOU, THRESHOLD_ALLOWANCE, compare
from .report import Finding, Kind, ParityReport, Tally, Verdict

__all__ = [
    "BF16_PARITY",
    "FP32_PARITY",
    "MINIMUM_REFERENCE",
    "PAIRING_IOU",
    "PRECISION_DEMANDS",
    "THRESHOLD_ALLOWANCE",
    "Bar",
    "Demand",
    "Finding",
    "Kind",
    "ParityReport",
    "Tally",
    "Verdict",
    "compare",
    "export_bar",
]
