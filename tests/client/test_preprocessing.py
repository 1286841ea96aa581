"""The ways of bringing pictures to size, and what follows from each."""

from __future__ import annotations

import pytest

from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing

WAYS = [
    (Preprocessing.letterbox(640), "letterbox_640", (640, 640, 3), 640, "640 x 640"),
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
        ("crop_640", "no preprocessing model"),
        ("", "no preprocessing model"),
    ],
)
def test_other_names_are_refused(name: str, reason: str) -> None:
    with pytest.raises(InvalidOptionError, match=reason):
        Preprocessing.parse(name)
