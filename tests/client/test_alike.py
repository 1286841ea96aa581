"""Which images travel together where networks see rectangles."""

from __future__ import annotations

from dataclasses import replace

from sightline._alike import group_alike, varying
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing

SQUARE = DetectorInfo(class_names=("cat",))
RECT = replace(SQUARE, preprocessing=Preprocessing.rect())
FINE = replace(SQUARE, preprocessing=Preprocessing.rect(1280))


def test_no_images() -> None:
    assert group_alike([], ()) == []


def test_squares_are_all_alike() -> None:
    assert varying([SQUARE]) == ()
    assert group_alike([(480, 640), (640, 480), (1, 1)], varying([SQUARE])) == [[0, 1, 2]]


def test_rectangles_go_by_aspect() -> None:
    ways = varying([RECT, SQUARE, RECT])
    assert ways == (Preprocessing.rect(),)
    sizes_hw = [(480, 640), (640, 480), (960, 1280), (481, 640), (1280, 960), (427, 640)]
    assert group_alike(sizes_hw, ways) == [[0, 2], [1, 4], [3], [5]]


def test_every_member_of_a_group_counts() -> None:
    sizes_hw = [(400, 640), (410, 640), (380, 640), (395, 640)]
    assert group_alike(sizes_hw, varying([RECT])) == [[0, 1, 3], [2]]
    assert group_alike(sizes_hw, varying([RECT, FINE])) == [[0, 3], [1], [2]]
