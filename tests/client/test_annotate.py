"""Drawing into pictures, and what comes out as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from sightline.annotate import Picture, decode_upright, draw, encode_jpeg, label_boxes
from sightline.boxes import pairwise_iou
from sightline.detections import Detections
from sightline.errors import CorruptImageError, OutputError


def detections(*boxes: tuple[float, float, float, float], size_hw: tuple[int, int]) -> Detections:
    count = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(count, 4),
        np.linspace(0.9, 0.3, count).astype(np.float32),
        np.arange(count, dtype=np.int32) % 3,
        ("person", "Straße", "日本"),
        size_hw,
    )


def grey(height: int, width: int) -> Picture:
    return np.full((height, width, 3), 90, np.uint8)


def changed(before: Picture, after: Picture) -> npt.NDArray[np.bool_]:
    return np.asarray((before != after).any(axis=2))


def test_no_objects_change_nothing() -> None:
    picture = grey(60, 80)
    assert np.array_equal(draw(picture, detections(size_hw=(60, 80))), picture)


def test_the_picture_itself_stays() -> None:
    picture = grey(480, 640)
    drawn = draw(picture, detections((100, 100, 300, 300), size_hw=(480, 640)))
    assert (picture == 90).all()
    where = changed(picture, drawn)
    assert where[200, 100]
    assert where[300, 200]
    assert not where[200, 200]
    assert not where[400:, :].any()


def test_classes_have_their_own_colours() -> None:
    size_hw = (480, 640)
    drawn = draw(grey(*size_hw), detections((50, 200, 150, 400), (250, 200, 350, 400), size_hw=size_hw))
    assert drawn[300, 50].tolist() != drawn[300, 250].tolist()


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 900), (16, 16), (128, 128), (3000, 4000)])
def test_any_picture_size(size_hw: tuple[int, int]) -> None:
    height, width = size_hw
    drawn = draw(grey(height, width), detections((0, 0, width, height), size_hw=size_hw))
    assert drawn.shape == (height, width, 3)


def test_larger_pictures_get_larger_labels() -> None:
    def label_height(scale: int) -> int:
        size_hw = (300 * scale, 400 * scale)
        box = (100 * scale, 150 * scale, 300 * scale, 250 * scale)
        above = changed(grey(*size_hw), draw(grey(*size_hw), detections(box, size_hw=size_hw)))[: 145 * scale]
        return int(above.any(axis=1).sum())

    assert label_height(10) > 4 * label_height(1) > 0


def test_labels_do_not_hide_the_small_objects_of_a_large_picture() -> None:
    size_hw = (3000, 4000)
    boxes = [(x, y, x + 60.0, y + 60.0) for x in range(200, 3800, 600) for y in range(200, 2800, 400)]
    drawn = changed(grey(*size_hw), draw(grey(*size_hw), detections(*boxes, size_hw=size_hw)))
    hidden = [drawn[int(y1 + 6) : int(y2 - 6), int(x1 + 6) : int(x2 - 6)].mean() for x1, y1, x2, y2 in boxes]
    assert max(hidden) < 0.1
    assert drawn.mean() < 0.1


def test_detections_of_another_picture_are_refused() -> None:
    with pytest.raises(OutputError, match="640x480 pixels, this one has 480x640"):
        draw(grey(640, 480), detections(size_hw=(480, 640)))


def test_labels_lie_in_the_picture_and_off_each_other() -> None:
    boxes = np.array([[0, 0, 50, 50], [2, 1, 52, 51], [0, 0, 50, 50], [180, 0, 200, 20], [10, 95, 20, 100]], float)
    placed = label_boxes(boxes, [(40, 10)] * len(boxes), image_size_hw=(100, 200))
    assert (placed >= 0).all()
    assert (placed <= np.array([200, 100, 200, 100])).all()
    assert np.allclose(placed[:, 2:] - placed[:, :2], [40, 10])
    overlaps = pairwise_iou(placed, placed) - np.eye(len(placed))
    assert overlaps.max() == 0


def test_a_label_that_finds_no_room_goes_above_its_box() -> None:
    boxes = np.array([[10, 30, 40, 40]] * 20, float)
    placed = label_boxes(boxes, [(30, 10)] * 20, image_size_hw=(60, 60))
    assert placed[-1].tolist() == placed[0].tolist() == [10, 20, 40, 30]


def test_a_label_larger_than_the_picture() -> None:
    placed = label_boxes(np.array([[3, 3, 6, 6]], float), [(50, 20)], image_size_hw=(10, 12))
    assert placed.tolist() == [[0, 0, 50, 20]]


@pytest.mark.parametrize("number", range(1, 9))
def test_pictures_are_drawn_upright(shared_data: Path, number: int) -> None:
    """All eight orientations of one landscape show the same picture, and the output needs no tag."""
    folder = shared_data / "awkward" / "orientation"
    upright = decode_upright((folder / "Landscape_1.jpg").read_bytes())
    picture = decode_upright((folder / f"Landscape_{number}.jpg").read_bytes())
    assert picture.shape == upright.shape
    small = [cv2.resize(each, (30, 20), interpolation=cv2.INTER_AREA).astype(int) for each in (picture, upright)]
    difference = np.abs(small[0] - small[1])
    assert np.median(difference) <= 2  # a number is drawn into the middle of each
    encoded = encode_jpeg(picture)
    assert b"Exif" not in encoded[:400]
    assert np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)).shape == upright.shape


@pytest.mark.parametrize(
    "name", ["basn2c16.png", "p_16.png", "hopper_gray.jpg", "pil_sample_cmyk.jpg", "transparent.webp"]
)
def test_unusual_pictures_become_plain_ones(shared_data: Path, name: str) -> None:
    picture = decode_upright((shared_data / "awkward" / "unusual" / name).read_bytes())
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3


@pytest.mark.parametrize("encoded", [b"", b"no picture"])
def test_what_is_no_picture(encoded: bytes) -> None:
    with pytest.raises(CorruptImageError, match="OpenCV cannot decode"):
        decode_upright(encoded)


def test_quality_makes_files_larger() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    assert len(encode_jpeg(picture, quality=20)) < len(encode_jpeg(picture, quality=95))


def test_too_long_for_jpeg() -> None:
    with pytest.raises(OutputError, match="65,535"):
        encode_jpeg(grey(1, 65_536))
