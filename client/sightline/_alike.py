"""Which images of a request a network sees in one size, and can compute together without borders for each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing

Likeness = tuple[tuple[int, int], ...]


def varying(detectors: Iterable[DetectorInfo]) -> tuple[Preprocessing, ...]:
    """The ways, each once, in which detectors see rectangles: of a batch, one that holds those of all its images."""
    ways = dict.fromkeys(info.preprocessing for info in detectors)
    return tuple(way for way in ways if way.kind == "rect")


def group_alike(sizes_hw: Sequence[tuple[int, int]], ways: Collection[Preprocessing]) -> list[list[int]]:
    """The indices of images of that height and width in pixels, those together that every way shows in one size.

    The first of each group stand in order, and so do those within it. Without any ways all are alike.
    """
    groups: dict[Likeness, list[int]] = {}
    for index, size_hw in enumerate(sizes_hw):
        groups.setdefault(likeness(size_hw, ways), []).append(index)
    return list(groups.values())


def likeness(size_hw: tuple[int, int], ways: Iterable[Preprocessing]) -> Likeness:
    """What images have in common that every way shows in one size: those sizes."""
    return tuple(way.seen_hw(size_hw) for way in ways)
