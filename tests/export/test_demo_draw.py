"""The drawn scenes: repeatable, with exact boxes, and with what the options ask for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline_export.demo.backgrounds import BACKGROUNDS
from sightline_export.demo.distractors import draw_distractor
from sightline_export.demo.draw import LEAST_VISIBLE, SceneOptions, draw_scene, instance_boxes, random_options
from sightline_export.demo.objects import CLASS_NAMES, DRAWINGS, Draw
from sightline_export.demo.samples import (
    TRAINING_SEED,
    decode_rgb,
    held_out_set,
    labelled_picture,
    letterbox,
    training_set,
)
from sightline_export.demo.sprite import Sprite

UPRIGHT = np.eye(2)
# A seed whose scene in the studio casts no shadow.
SHADOWLESS = 3


def test_a_scene_of_nothing_has_no_boxes() -> None:
    scene = draw_scene(np.random.default_rng(0), SceneOptions(objects=(0, 0)))
    assert scene.boxes_xyxy.shape == (0, 4)
    assert scene.boxes_xyxy.dtype == np.float32
    assert scene.class_ids.shape == (0,)
    assert not scene.instances.any()


def test_the_same_seed_draws_the_same_scene() -> None:
    one, two = (draw_scene(np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one.picture, two.picture)
    assert np.array_equal(one.boxes_xyxy, two.boxes_xyxy)
    assert np.array_equal(one.class_ids, two.class_ids)
    assert not np.array_equal(one.picture, draw_scene(np.random.default_rng(6)).picture)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_boxes_are_the_extents_of_what_is_visible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scene = draw_scene(rng, random_options(rng))
    assert len(scene.boxes_xyxy) == len(scene.class_ids) == scene.instances.max(initial=0)
    for number, (x0, y0, x1, y1) in enumerate(scene.boxes_xyxy, start=1):
        rows, columns = np.nonzero(scene.instances == number)
        assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_the_box_meets_the_drawn_pixels(name: str) -> None:
    """Without a shadow, what differs from the bare background is the object."""
    bare = SceneOptions(background="studio", objects=(0, 0), distractors=0, wear=0)
    empty = draw_scene(np.random.default_rng(SHADOWLESS), bare)
    one = replace(bare, objects=(1, 1), class_names=(name,), diameter_px=(200, 200))
    scene = draw_scene(np.random.default_rng(SHADOWLESS), one)
    rows, columns = np.nonzero((scene.picture != empty.picture).any(2))
    extent = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    # Pixels that are less than half covered do not count as the object: tips of fins and bows.
    assert np.abs(scene.boxes_xyxy[0] - extent).max() <= 3
    assert extent[2:].min() > 100


def test_objects_stay_recognisable_behind_others() -> None:
    scene = draw_scene(np.random.default_rng(11), SceneOptions(objects=(30, 30), distractors=0, diameter_px=(60, 90)))
    areas = np.bincount(scene.instances.ravel())[1:]
    # The smallest mask that a 60 px drawing has (the kite's, about 1/6 of its square), minus what may be hidden.
    assert len(areas) > 10
    assert areas.min() > LEAST_VISIBLE * 60 * 60 / 8


@pytest.mark.parametrize("draw", [*DRAWINGS.values(), draw_distractor], ids=[*CLASS_NAMES, "distractor"])
@pytest.mark.parametrize("size_px", [24, 130, 350])
def test_every_drawing_fills_its_square_and_stays_inside(draw: Draw, size_px: int) -> None:
    cutout = draw(Sprite(size_px, UPRIGHT), np.random.default_rng(1))
    assert cutout.opacity.shape == (size_px, size_px)
    assert cutout.opacity.max() == 1
    rows, columns = np.nonzero(cutout.mask)
    assert max(np.ptp(rows), np.ptp(columns)) > 0.5 * size_px
    assert cutout.colour.min() >= 0
    assert (cutout.colour <= 255 * cutout.opacity[..., None] + 1e-3).all()


@pytest.mark.parametrize("name", BACKGROUNDS)
@pytest.mark.parametrize("size_hw", [(64, 64), (101, 333), (333, 101)])
def test_every_background_takes_every_size(name: str, size_hw: tuple[int, int]) -> None:
    picture = BACKGROUNDS[name](np.random.default_rng(2), size_hw)
    assert picture.shape == (*size_hw, 3)
    assert picture.dtype == np.uint8
    assert picture.std() > 1


def test_what_flies_stays_above_the_horizon() -> None:
    options = SceneOptions(class_names=("balloon", "cone"), objects=(12, 12), diameter_px=(40, 80), horizon=0.5)
    scene = draw_scene(np.random.default_rng(8), options)
    flying = scene.class_ids == CLASS_NAMES.index("balloon")
    assert 0 < flying.sum() < len(flying)
    assert (scene.boxes_xyxy[flying, 3] <= 241).all()
    assert (scene.boxes_xyxy[~flying, 3] >= 230).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size_hw": (480, 20)}, "at least 64"),
        ({"background": "moon"}, "no background 'moon'; there are meadow"),
        ({"class_names": ("ball", "cat")}, r"\['cat'\]; there are ball"),
        ({"class_names": ()}, "nothing; there are ball"),
        ({"objects": (3, 1)}, "least, most"),
    ],
)
def test_wrong_options_say_what_is_allowed(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SceneOptions(**wrong)


def test_boxes_of_no_instances() -> None:
    assert instance_boxes(np.zeros((8, 8), np.int16), 0).shape == (0, 4)


def test_the_held_out_set_is_repeatable_and_is_not_the_training_set() -> None:
    one, two = (list(held_out_set(count=3)) for _ in range(2))
    assert [picture.jpeg for picture in one] == [picture.jpeg for picture in two]
    jpeg, boxes_xyxy, class_ids = one[0]
    height, width = decode_rgb(jpeg).shape[:2]
    assert len(boxes_xyxy) == len(class_ids)
    assert (boxes_xyxy <= (width, height, width, height)).all()
    assert labelled_picture(0, seed=TRAINING_SEED).jpeg != jpeg
    with pytest.raises(ValueError, match="seed 1 draws the training pictures"):
        held_out_set(seed=TRAINING_SEED)


def test_the_training_set_does_not_depend_on_the_processes() -> None:
    alone = [labelled_picture(index, seed=7) for index in range(3)]
    assert [picture.jpeg for picture in training_set(seed=7, count=3, processes=2)] == [p.jpeg for p in alone]


def test_letterbox_keeps_the_aspect_and_centres() -> None:
    framed = letterbox(np.zeros((320, 640, 3), np.uint8), 320)
    assert framed.picture.shape == (320, 320, 3)
    assert (framed.scale, framed.left, framed.top) == (0.5, 0, 80)
    assert (framed.picture[:80] == 114).all()
    assert (framed.picture[80:240] == 0).all()
