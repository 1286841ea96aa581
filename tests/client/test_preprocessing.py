"""The ways of bringing pictures to size, and what follows from each."""

from __future__ import annotations

import pytest

from sightline.contract import RECTANGLE, SCORE_THRESHOLD
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing, PreprocessingKind

WAYS = [
    (Preprocessing.letterbox(640), "letterbox_640", (640, 640, 3), 640, "640 x 640"),
    (Preprocessing.rect(640), "rect_640_32", (640, 640, 3), 640, "rectangles in 640 x 640, multiples of 32"),
    (
        Preprocessing.rect(1280, stride=64),
        "rect_1280_64",
        (1280, 1280, 3),
        1280,
        "rectangles in 1280 x 1280, multiples of 64",
    ),
    (Preprocessing.stretch(320), "stretch_320", (320, 320, 3), 320, "320 x 320, stretched"),
    (Preprocessing.stretch_float(320), "stretch_float_320", (320, 320, 3), 320, "320 x 320, stretched"),
    (
        Preprocessing.resize(shorter=800, longest=1333),
        "resize_800_1333",
        (-1, -1, 3),
        None,
        "shorter side 800, longer at most 1333",
    ),
]


@pytest.mark.parametrize(("way", "name", "dims", "image_size", "text"), WAYS)
def test_the_name_says_everything(
    way: Preprocessing, name: str, dims: tuple[int, ...], image_size: int | None, text: str
) -> None:
    assert way.model_name == name
    assert Preprocessing.parse(name) == way
    assert (way.images.dims, way.image_size, str(way)) == (dims, image_size, text)
    assert way.outputs[0] == way.network_inputs[0] == way.images
    assert way.images.datatype == ("FP32" if way.kind in ("resize", "stretch_float") else "UINT8")


@pytest.mark.parametrize(("size", "batch"), [(320, 16), (640, 16), (1280, 4), (1920, 1)])
def test_large_inputs_come_in_small_batches(size: int, batch: int) -> None:
    assert Preprocessing.letterbox(size).max_batch_size == Preprocessing.stretch(size).max_batch_size == batch


def test_pictures_of_different_sizes_make_no_batch() -> None:
    assert Preprocessing.resize(shorter=800, longest=1333).max_batch_size == 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("letterbox_641", "multiples of 32"),
        ("stretch_64", "multiples of 32"),
        ("resize_1333_800", "1 <= shorter <= longest"),
        ("resize_800_99999", "1 <= shorter <= longest"),
        ("resize_800", "no preprocessing model"),
        ("letterbox_640_640", "no preprocessing model"),
        ("letterbox_0640", "no preprocessing model"),
        ("rect_640", "no preprocessing model"),
        ("rect_641_32", "multiples of 32"),
        ("rect_640_96", "must be even and divide the side"),
        ("rect_1440_45", "must be even and divide the side"),
        ("crop_640", "no preprocessing model"),
        ("", "no preprocessing model"),
    ],
)
def test_other_names_are_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidOptionError, match=reason):
        Preprocessing.parse(name)


@pytest.mark.parametrize(("preprocessing", "sides"), [("letterbox", (640, 32)), ("rect", (640,))])
def test_a_stride_belongs_to_rectangles(preprocessing: PreprocessingKind, sides: tuple[int, ...]) -> None:
    with pytest.raises(InvalidOptionError, match="a rect has side and stride"):
        Preprocessing(preprocessing, sides)


def test_only_rectangles_say_which() -> None:
    square, rect = Preprocessing.letterbox(), Preprocessing.rect()
    assert [spec.name for spec in square.outputs] == ["images", "original_shape"]
    assert rect.outputs == (*square.outputs, RECTANGLE)
    assert rect.network_inputs == (*rect.outputs, SCORE_THRESHOLD)
    assert rect.max_batch_size == square.max_batch_size


@pytest.mark.parametrize(
    ("way", "image_size_hw", "seen_hw"),
    [
        (Preprocessing.rect(), (480, 640), (480, 640)),
        (Preprocessing.rect(), (427, 640), (448, 640)),
        (Preprocessing.rect(), (1920, 1080), (640, 384)),
        (Preprocessing.rect(), (500, 500), (640, 640)),
        (Preprocessing.rect(), (1, 4000), (32, 640)),
        # Half of 833 pixels rounds to the even 416, a multiple of 32; half of 835 to 418, which is above it.
        (Preprocessing.rect(), (833, 1280), (416, 640)),
        (Preprocessing.rect(), (835, 1280), (448, 640)),
        (Preprocessing.rect(1280, stride=64), (1080, 1920), (768, 1280)),
        (Preprocessing.letterbox(), (480, 640), (640, 640)),
        (Preprocessing.stretch(320), (480, 640), (320, 320)),
        (Preprocessing.resize(shorter=800, longest=1333), (480, 640), (800, 1066)),
    ],
    ids=str,
)
def test_what_a_network_sees(way: Preprocessing, image_size_hw: tuple[int, int], seen_hw: tuple[int, int]) -> None:
    assert way.seen_hw(image_size_hw) == seen_hw
