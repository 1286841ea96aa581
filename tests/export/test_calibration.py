"""Whether pictures are fit to calibrate on."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.export.conv_network import write_scenes

from sightline.errors import InvalidOptionError
from sightline_export.options import check_calibration
from sightline_export.pictures import draw_scene
from sightline_export.quantise.calibration import (
    ENOUGH_PICTURES,
    LEAST_PICTURES,
    MOST_PICTURES,
    SAME,
    distinct,
    open_calibration,
    signature,
)


def told(folder: Path) -> list[str]:
    said: list[str] = []
    open_calibration(folder, tell=said.append)
    return said


def test_enough_different_pictures_are_no_reason_to_warn(tmp_path: Path) -> None:
    assert told(write_scenes(tmp_path / "many", ENOUGH_PICTURES)) == []


def test_few_pictures_are_warned_of(tmp_path: Path) -> None:
    (warning,) = told(write_scenes(tmp_path / "few", LEAST_PICTURES))
    assert warning.startswith(f"WARNING: {LEAST_PICTURES} different pictures are few")


def test_too_few_are_refused(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "handful", LEAST_PICTURES - 1)
    with pytest.raises(InvalidOptionError, match=r"holds 15 pictures; at least 16 different"):
        told(folder)


def test_copies_do_not_count(tmp_path: Path) -> None:
    """The same picture compressed anew, brighter and with noise is one picture."""
    generator = np.random.default_rng(0)
    scene = draw_scene((240, 320), seed=0).astype(float)
    for number in range(120):
        changed = scene + generator.normal(0, 6, scene.shape) + generator.integers(-20, 20)
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(generator.integers(50, 95))]
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), np.clip(changed, 0, 255).astype(np.uint8), quality)
    with pytest.raises(InvalidOptionError, match=r"120 pictures, 119 of them copies of others; at least 16"):
        told(tmp_path)


def test_one_scene_seen_again_and_again_is_warned_of(tmp_path: Path) -> None:
    """Frames of a fixed camera: something small moves through."""
    scene = draw_scene((240, 320), seed=0)
    for number in range(ENOUGH_PICTURES + 20):
        frame = scene.copy()
        left, top = 25 * (number % 12), 22 * (number // 12)
        frame[top : top + 24, left : left + 24] = (250, 20, 20)
        cv2.imwrite(str(tmp_path / f"{number}.png"), frame)
    assert any("nearly uniform" in said for said in told(tmp_path))


def test_the_film_of_a_fixed_camera_is_warned_of(shared_data: Path, tmp_path: Path) -> None:
    film = cv2.VideoCapture(str(shared_data / "video" / "car-detection.mp4"))
    for number in range(MOST_PICTURES):
        shown, frame = film.read()
        assert shown
        assert cv2.imwrite(str(tmp_path / f"{number:03}.jpg"), cv2.resize(frame, None, fx=0.25, fy=0.25))
    assert any(
        said.startswith(f"WARNING: the {MOST_PICTURES} calibration pictures are nearly uniform")
        for said in told(tmp_path)
    )


def test_files_that_cannot_be_decoded_are_left_out_and_named(tmp_path: Path) -> None:
    folder = write_scenes(tmp_path / "some", ENOUGH_PICTURES)
    (folder / "notes.txt").write_text("no picture")
    (said,) = told(folder)
    assert "left out 1 files" in said
    assert "notes.txt" in said


def test_no_more_are_looked_at_than_help(tmp_path: Path) -> None:
    (first,) = write_scenes(tmp_path, 1).iterdir()
    for number in range(1, MOST_PICTURES + 30):
        shutil.copy(first, tmp_path / f"copy{number}.jpg")
    with pytest.raises(InvalidOptionError, match=f"holds {MOST_PICTURES} pictures"):
        told(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="is not a folder"):
        told(tmp_path / "nowhere")


def test_pictures_of_one_colour_are_alike() -> None:
    flat = [signature(np.full((40, 40, 3), level, np.uint8)) for level in (0, 90, 255)]
    assert distinct(flat, SAME) == 1
    assert distinct([*flat, signature(draw_scene((40, 40), seed=1))], SAME) == 2


@pytest.mark.parametrize(("precision", "given"), [("int8", True), ("auto", True), ("auto", False), ("fp32", False)])
def test_calibration_where_it_belongs(precision: str, given: bool, tmp_path: Path) -> None:
    check_calibration(precision, tmp_path if given else None)


def test_int8_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="--calibration"):
        check_calibration("int8", None)
    with pytest.raises(InvalidOptionError, match="not for 'fp16'"):
        check_calibration("fp16", tmp_path)
