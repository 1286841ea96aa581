"""Pairs what two detectors found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from sightline.boxes import FloatArray, pairwise_iou
from sightline.contract import DEFAULT_SCORE_THRESHOLD, check_fraction
from sightline.detections import Detections
from sightline.errors import InvalidOptionError

from .report import Finding, Kind, ParityReport

PAIRING_IOU = 0.5
"""Boxes that overlap less are two objects, not two opinions about one."""
THRESHOLD_ALLOWANCE = 0.005
"""A detection whose score is this near the threshold may be on either side of it."""
_SLIVER_PIXELS = 1.0
"""A box that is narrower or lower."""
_NAMED_IMAGES = 5


class _Limits(NamedTuple):
    """Scores: the threshold, how near it is next to it, and how far below it partners may be."""

    threshold: float
    allowance: float
    margin: float

    @property
    def lowest(self) -> float:
        return self.threshold - self.margin


def compare(  # noqa: PLR0913 - each number is one of its own, and is named
    reference: Mapping[str, Detections],
    candidate: Mapping[str, Detections],
    *,
    score_threshold: float = DEFAULT_SCORE_THRESHOLD,
    threshold_allowance: float = THRESHOLD_ALLOWANCE,
    pairing_iou: float = PAIRING_IOU,
    partner_margin: float = 0.0,
) -> ParityReport:
    """Match what two detectors found in the same images.

    Args:
        reference: what ought to be found, by image.
        candidate: what was found, for the same images; give an image that failed no detections.
        score_threshold: detections below it, 0 to 1, are left out on both sides.
        threshold_allowance: how near the threshold a score sets a detection without a partner aside, 0 to 1.
        pairing_iou: lowest IoU of a pair, 0 to 1.
        partner_margin: how far below the threshold the partner of a detection above it may be, 0 to 1. Both detectors
            must have been run with a threshold that is as much lower.

    Raises:
        InvalidOptionError: the images are not the same ones, or differ in size; or a number is out of range.
    """
    check_fraction("score threshold", score_threshold)
    check_fraction("threshold allowance", threshold_allowance)
    check_fraction("pairing IoU", pairing_iou)
    check_fraction("partner margin", partner_margin)
    _check_same_images(reference, candidate)
    findings: list[Finding] = []
    limits = _Limits(score_threshold, threshold_allowance, partner_margin)
    for image, expected in reference.items():
        kept, found = (each.only(each.scores >= limits.lowest) for each in (expected, candidate[image]))
        findings.extend(_findings(image, kept, found, limits=limits, pairing_iou=pairing_iou))
    return ParityReport(len(reference), tuple(findings))


def _check_same_images(reference: Mapping[str, Detections], candidate: Mapping[str, Detections]) -> None:
    if reference.keys() != candidate.keys():
        names = ", ".join(sorted(reference.keys() ^ candidate.keys())[:_NAMED_IMAGES])
        raise InvalidOptionError(f"reference and candidate are not about the same images; only one has: {names}")
    for image, expected in reference.items():
        found = candidate[image]
        if tuple(expected.image_size_hw) != tuple(found.image_size_hw):
            sizes = f"{expected.image_size_hw} for the reference and {found.image_size_hw} for the candidate"
            raise InvalidOptionError(f"{image}: height and width are {sizes}; one of them ignores EXIF rotation?")


def _findings(
    image: str, expected: Detections, found: Detections, *, limits: _Limits, pairing_iou: float
) -> Iterator[Finding]:
    """What became of every detection above the threshold; those below it are there as partners only."""
    pairs = list(_pairs(expected, found, pairing_iou=pairing_iou))
    for mine, other, iou in pairs:
        name, score, found_score = _name(expected, mine), float(expected.scores[mine]), float(found.scores[other])
        if score >= limits.threshold:
            yield Finding(image, "matched", name, score, iou, abs(score - found_score))
        elif found_score >= limits.threshold:
            # The reference has this object as well, below the threshold, so it is not extra unless it is far above.
            yield Finding(image, "set aside" if found_score - score <= limits.margin else "extra", name, found_score)
    alone: tuple[tuple[Kind, Detections, set[int]], ...] = (
        ("missing", expected, {mine for mine, _, _ in pairs}),
        ("extra", found, {other for _, other, _ in pairs}),
    )
    for kind, detections, paired in alone:
        for index in np.flatnonzero(detections.scores >= limits.threshold).tolist():
            if index not in paired:
                score = float(detections.scores[index])
                near = score - limits.threshold <= limits.allowance
                yield Finding(image, "set aside" if near else kind, _name(detections, index), score)


def _pairs(expected: Detections, found: Detections, *, pairing_iou: float) -> Iterator[tuple[int, int, float]]:
    """Indices and IoU of pairs of the same class, each detection in one at the most; best IoU first."""
    iou = _overlaps(expected.boxes_xyxy.astype(np.float64), found.boxes_xyxy.astype(np.float64))
    taken: tuple[set[int], set[int]] = (set(), set())
    candidates = np.argwhere((iou >= pairing_iou) & (iou > 0))
    for mine, other in candidates[np.argsort(-iou[tuple(candidates.T)], kind="stable")].tolist():
        if mine in taken[0] or other in taken[1] or _name(expected, mine) != _name(found, other):
            continue
        taken[0].add(mine)
        taken[1].add(other)
        yield mine, other, float(iou[mine, other])


def _overlaps(expected_xyxy: FloatArray, found_xyxy: FloatArray) -> FloatArray:
    """IoU of every pair; 1 for two slivers, such as clipping leaves at an edge, whose corners are next to each other.

    Slivers have no area to speak of, so that the last digit decides on their IoU.
    """
    iou = pairwise_iou(expected_xyxy, found_xyxy)
    thin = [
        (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf) < _SLIVER_PIXELS
        for boxes in (expected_xyxy, found_xyxy)
    ]
    apart = np.abs(expected_xyxy[:, None] - found_xyxy[None]).max(axis=2)
    both = thin[0][:, None] & thin[1][None]
    return np.where(both & (apart <= _SLIVER_PIXELS / 2), 1.0, iou)


def _name(detections: Detections, index: int) -> str:
    return detections.class_names[int(detections.class_ids[index])]
