"""Where tiles lie, and what becomes of boxes at their seams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from sightline import Detections, Tiling
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline.seams import View, join

NAMES = ("car", "person", "truck")
SIZE_HW = (1000, 1800)
LEFT, RIGHT = (0, 0, 1000, 1000), (800, 0, 1800, 1000)
PICTURE = (0, 0, 1800, 1000)
THRESHOLD = 0.25

Box = tuple[float, float, float, float]
Found = tuple[Box, float, int]


def view(rectangle: tuple[int, int, int, int], *found: Found) -> View:
    boxes = np.array([box for box, _, _ in found], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score, _ in found], np.float32)
    classes = np.array([class_id for _, _, class_id in found], np.int32)
    return View(rectangle, Detections(boxes, scores, classes, NAMES, SIZE_HW))


def joined(*views: View) -> list[Found]:
    found = join(views, class_names=NAMES, image_size_hw=SIZE_HW, score_threshold=THRESHOLD)
    rows = zip(found.boxes_xyxy.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)
    return [(tuple(box), round(score, 3), class_id) for box, score, class_id in rows]


@pytest.mark.parametrize(
    ("size_hw", "tile", "overlap"),
    [
        ((9528, 13_400), 1280, 0.2),
        ((640, 641), 640, 0.2),
        ((641, 640), 640, 0.0),
        ((3000, 500), 640, 0.5),
        ((4000, 4000), 1000, 0.0),
        ((1999, 2001), 333, 0.37),
    ],
)
def test_tiles_cover_the_picture_and_overlap_enough(size_hw: tuple[int, int], tile: int, overlap: float) -> None:
    tiles = Tiling(tile=tile, overlap=overlap).tiles_xyxy(size_hw)

    covered = np.zeros(size_hw, np.uint8)
    for left, top, right, bottom in tiles:
        covered[top:bottom, left:right] = 1
    assert covered.all()
    assert (tiles[:, 2:] - tiles[:, :2] == (min(tile, size_hw[1]), min(tile, size_hw[0]))).all()
    assert tiles.min() == 0
    assert tiles[-1, 2:].tolist() == [size_hw[1], size_hw[0]]
    for starts, side in ((np.unique(tiles[:, 0]), size_hw[1]), (np.unique(tiles[:, 1]), size_hw[0])):
        assert (np.diff(starts) <= tile - tile * overlap).all()
        # One tile less would not do.
        assert len(starts) == 1 or (len(starts) - 2) * (tile - np.ceil(tile * overlap)) + tile < side


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": 0}, "320 to 4096"),
        ({"tile": 5000}, "320 to 4096"),
        ({"tile": 640.0}, "whole number"),
        ({"tile": True}, "whole number"),
        ({"tile": 640, "overlap": -0.1}, r"overlap is -0.1; it must lie from 0 to 0.5"),
        ({"tile": 640, "overlap": 0.6}, r"overlap is 0.6; it must lie from 0 to 0.5"),
        ({"tile": 640, "overlap": 20}, r"overlap is 20; it must lie from 0 to 0.5"),
        ({"tile": 640, "overlap": float("nan")}, "overlap is nan"),
    ],
)
def test_tilings_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        Tiling(**options)


@pytest.mark.parametrize(
    ("tile", "preprocessing"),
    [(639, Preprocessing.letterbox(640)), (799, Preprocessing.resize(shorter=800, longest=1333))],
)
def test_tiles_smaller_than_the_network_are_refused(tile: int, preprocessing: Preprocessing) -> None:
    with pytest.raises(InvalidOptionError, match=f"tiles of {tile} pixels do not match the network"):
        Tiling(tile=tile).check_fits(preprocessing)
    Tiling(tile=tile + 1).check_fits(preprocessing)


def test_nothing_found() -> None:
    assert joined(view(LEFT), view(RIGHT)) == []


SMALL: Found = ((850, 100, 900, 200), 0.8, 0)


@pytest.mark.parametrize(
    ("views", "wanted"),
    [
        pytest.param([view(LEFT, SMALL), view(RIGHT)], [SMALL], id="seen by one of two tiles"),
        pytest.param(
            [view(LEFT, SMALL), view(RIGHT, ((852, 101, 903, 198), 0.7, 0))], [SMALL], id="seen whole by both"
        ),
        pytest.param(
            [view(LEFT, SMALL, ((855, 120, 905, 220), 0.6, 0)), view(RIGHT)],
            [SMALL, ((855, 120, 905, 220), 0.6, 0)],
            id="boxes of one tile never suppress each other",
        ),
        pytest.param(
            [view(LEFT, SMALL), view(RIGHT, ((850, 100, 900, 200), 0.7, 1))],
            [SMALL, ((850, 100, 900, 200), 0.7, 1)],
            id="classes are kept apart",
        ),
        pytest.param(
            [view(LEFT, ((700, 100, 950, 200), 0.5, 0)), view(RIGHT, ((800, 100, 950, 200), 0.9, 0))],
            [((700, 100, 950, 200), 0.9, 0)],
            id="the whole is better than a piece with a better score, and has that score",
        ),
        pytest.param(
            [view(LEFT), view(RIGHT, ((800, 100, 860, 200), 0.9, 2))],
            [],
            id="a piece counts for nothing where the other tile sees it all and more",
        ),
        pytest.param(
            [view(LEFT, ((600, 100, 1000, 300), 0.6, 0)), view(RIGHT, ((800, 110, 1400, 300), 0.7, 0))],
            [((600, 100, 1400, 300), 0.7, 0)],
            id="pieces of what no tile sees whole are joined",
        ),
        pytest.param(
            [view(LEFT, ((600, 100, 1000, 300), 0.6, 0)), view(RIGHT, ((800, 600, 1400, 800), 0.7, 0))],
            [((800, 600, 1400, 800), 0.7, 0), ((600, 100, 1000, 300), 0.6, 0)],
            id="pieces that do not agree are not",
        ),
        pytest.param(
            [
                view(LEFT, ((600, 100, 1000, 300), 0.6, 0)),
                view(RIGHT, ((800, 110, 1400, 300), 0.7, 0)),
                view(PICTURE, ((605, 105, 1395, 295), 0.5, 0)),
            ],
            [((605, 105, 1395, 295), 0.7, 0)],
            id="the whole picture settles what the tiles see in pieces",
        ),
        pytest.param(
            [view(LEFT, ((600, 100, 1000, 300), 0.5, 2)), view(PICTURE, ((605, 105, 1395, 295), 0.6, 0))],
            [((605, 105, 1395, 295), 0.6, 0)],
            id="the whole picture knows the class better than who sees a piece and is less sure",
        ),
        pytest.param(
            [view(LEFT, ((600, 100, 1000, 300), 0.9, 2)), view(PICTURE, ((605, 105, 1395, 295), 0.6, 0))],
            [((600, 100, 1000, 300), 0.9, 2), ((605, 105, 1395, 295), 0.6, 0)],
            id="what is seen in part and clearly is not lost to another class that is less sure",
        ),
        pytest.param(
            [view(LEFT, ((850, 100, 900, 200), 0.26, 0)), view(RIGHT, ((852, 101, 903, 198), 0.15, 0))],
            [((850, 100, 900, 200), 0.26, 0)],
            id="what one tile is sure enough of is there",
        ),
        pytest.param(
            [view(LEFT, ((850, 100, 900, 200), 0.15, 0)), view(PICTURE, ((852, 101, 903, 198), 0.3, 0))],
            [((850, 100, 900, 200), 0.3, 0)],
            id="a tile's faint object has the score that the whole picture gave it",
        ),
        pytest.param(
            [view(LEFT, ((850, 100, 900, 200), 0.24, 0)), view(RIGHT, ((852, 101, 903, 198), 0.2, 0))],
            [],
            id="what no view is sure enough of is not",
        ),
        pytest.param(
            [view(LEFT), view(RIGHT), view(PICTURE, SMALL, ((300, 10, 1500, 990), 0.6, 1))],
            [((300, 10, 1500, 990), 0.6, 1)],
            id="the whole picture adds only what no tile sees whole",
        ),
        pytest.param(
            [view(LEFT, ((700, 120, 1000, 190), 0.4, 0)), view(RIGHT)],
            [((700, 120, 1000, 190), 0.4, 0)],
            id="a piece that only one tile reports, and no other shows whole, stays",
        ),
    ],
)
def test_seams(views: Sequence[View], wanted: list[Found]) -> None:
    rounded = [(tuple(map(float, box)), score, class_id) for box, score, class_id in wanted]
    assert joined(*views) == rounded
    assert sorted(joined(*reversed(views))) == sorted(rounded)


def test_a_picture_s_own_borders_cut_nothing() -> None:
    at_the_edge: Found = ((0, 100, 60, 200), 0.8, 0)
    assert joined(view(LEFT, at_the_edge), view(RIGHT), view(PICTURE)) == [((0.0, 100.0, 60.0, 200.0), 0.8, 0)]
