"""The source of a served detector takes over its settings, or is refused where it cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tests.export.tiny import TINY_SIZE, prediction, tiny_model

from sightline.cli._against import SourceFramework
from sightline.detector_info import DetectorInfo
from sightline.errors import CheckpointError, CorruptImageError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.raw import sha256


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of a detector of three classes, which has names of its own."""
    model = tiny_model(
        prediction("anchors_last", classes=3, candidates=50), metadata={"names": "{0: 'x', 1: 'y', 2: 'z'}"}
    )
    onnx.save(model, tmp_path / "tiny.onnx")
    return tmp_path / "tiny.onnx"


@pytest.fixture
def info(source: Path) -> DetectorInfo:
    return DetectorInfo(
        class_names=("a", "b", "c"),
        preprocessing=Preprocessing.letterbox(TINY_SIZE),
        head="anchors_last",
        max_detections=7,
        source_sha256=sha256(source),
    )


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    """One picture, and half of it."""
    whole, half = tmp_path / "whole.jpg", tmp_path / "half.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3)).astype(np.uint8)
    assert cv2.imwrite(str(whole), noise)
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    return [str(whole), str(half)]


def test_settings_are_taken_over(source: Path, info: DetectorInfo, photos: list[str]) -> None:
    against = SourceFramework(source, info, family=None)
    assert against.class_names == ("a", "b", "c")
    assert against.description == "the file's own output"
    whole, half = against.stream(photos, score_threshold=0.001)
    detections = whole.unwrap()
    assert len(detections) == 7
    assert detections.image_size_hw == (200, 300)
    assert isinstance(half.error, CorruptImageError)
    one = replace(info, max_detections=1)
    assert len(next(SourceFramework(source, one, family=None).stream(photos, score_threshold=0.001)).unwrap()) == 1


def test_every_class_of_a_box(source: Path, info: DetectorInfo, photos: list[str]) -> None:
    info = replace(info, max_detections=300)
    plain, every = (
        next(SourceFramework(source, each, family=None).stream(photos, score_threshold=0.001)).unwrap()
        for each in (info, replace(info, multi_label=True))
    )
    assert len(every) > len(plain)


def test_another_file_keeps_its_names(source: Path, info: DetectorInfo) -> None:
    other = replace(info, source_sha256="0" * 64)
    assert SourceFramework(source, other, family=None).class_names == ("x", "y", "z")


def test_pictures_that_are_made_in_another_way(source: Path, info: DetectorInfo) -> None:
    stretched = replace(info, preprocessing=Preprocessing.stretch(TINY_SIZE))
    with pytest.raises(InvalidOptionError, match="sees pictures as letterbox_320, the served detector as stretch_320"):
        SourceFramework(source, stretched, family=None)


def test_no_such_file(info: DetectorInfo) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        SourceFramework(Path("absent.onnx"), info, family=None)
