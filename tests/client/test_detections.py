"""Detections and results as validated values."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from sightline.detections import Detections, Result, class_ids_of
from sightline.errors import CorruptImageError, InvalidOptionError

NAMES = ("person", "car", "dog")


def detections(count: int = 2, **changes: Any) -> Detections:
    values: dict[str, Any] = {
        "boxes_xyxy": np.array([[1, 2, 30, 40], [5, 5, 10, 10]], np.float32)[:count],
        "scores": np.array([0.9, 0.5], np.float32)[:count],
        "class_ids": np.array([0, 2], np.int32)[:count],
        "class_names": NAMES,
        "image_size_hw": (100, 200),
    }
    return Detections(**{**values, **changes})


def test_no_objects() -> None:
    none = Detections.none(class_names=NAMES, image_size_hw=(4, 5))
    assert len(none) == 0
    assert list(none) == []
    assert len(none.only_classes(["car"])) == 0
    assert len(none.to_supervision()) == 0


def test_objects_one_by_one() -> None:
    (box, score, class_id, name), second = detections()
    assert box.tolist() == [1, 2, 30, 40]
    assert score == pytest.approx(0.9)
    assert (class_id, name) == (0, "person")
    assert second[3] == "dog"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes_xyxy": np.zeros((3, 4), np.float32)}, r"boxes_xyxy has shape \(3, 4\).*\(2, 4\)"),
        ({"boxes_xyxy": np.zeros(8, np.float32)}, "boxes_xyxy has shape"),
        ({"class_ids": np.zeros(1, np.int32)}, "class_ids has shape"),
        ({"boxes_xyxy": np.array([[0, 0, np.nan, 1], [0, 0, 1, 1]], np.float32)}, "NaN"),
        ({"scores": np.array([0.5, 1.5], np.float32)}, "1.5; 0 to 1 is allowed"),
        ({"scores": np.array([0.5, np.nan], np.float32)}, "scores lie"),
        ({"class_ids": np.array([0, 3], np.int32)}, "0 to 2 is allowed"),
        ({"class_ids": np.array([-1, 0], np.int32)}, "class ids lie from -1"),
        ({"image_size_hw": (0, 10)}, "at least 1 pixel"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        detections(**changes)


def test_selecting() -> None:
    assert detections().only(np.array([False, True])).class_ids.tolist() == [2]
    assert detections().only(np.array([1, 0])).class_ids.tolist() == [2, 0]
    assert detections().only_classes(["dog", "car"]).class_ids.tolist() == [2]
    with pytest.raises(InvalidOptionError, match="no class 'cat'; it knows: person, car, dog"):
        detections().only_classes(["cat"])


def test_classes_that_share_a_name_go_together() -> None:
    assert class_ids_of(["b", "a"], ["a", "b", "a"]) == [0, 1, 2]


def test_supervision_gets_copies() -> None:
    ours = detections()
    theirs = ours.to_supervision()
    assert theirs.xyxy.tolist() == ours.boxes_xyxy.tolist()
    assert list(theirs.data["class_name"]) == ["person", "dog"]
    theirs.xyxy[:] = 0
    assert ours.boxes_xyxy[0].tolist() == [1, 2, 30, 40]


def test_a_result_is_one_or_the_other() -> None:
    good, bad = Result("a.jpg", detections()), Result("b.jpg", error=CorruptImageError("truncated"))
    assert len(good.unwrap()) == 2
    with pytest.raises(CorruptImageError, match="truncated"):
        bad.unwrap()
    with pytest.raises(InvalidOptionError):
        Result("c.jpg")
    with pytest.raises(InvalidOptionError):
        Result("d.jpg", detections(), CorruptImageError("truncated"))


def test_importing_drags_in_neither_supervision_nor_opencv() -> None:
    modules = "sightline.writers, sightline.job, sightline.parity, sightline.cli.detect"
    code = f"import sys, {modules}; print({{'cv2', 'supervision'}} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"
