"""A file of the real `detecto`, exported and served, against `Model.predict`."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.joining_chain import JoiningChain

from sightline.errors import CheckpointError, InvalidOptionError
from sightline_bench.detecto_example import CLASSES, TrainedDetecto, strips, train_detecto
from sightline_export.exporter import export
from sightline_export.options import ExportOptions
from sightline_export.sources import load

DETECTO = ExportOptions(family="detecto", classes=CLASSES)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedDetecto:
    """Detecto's model, which finds what it has learnt."""
    return train_detecto(tmp_path_factory.mktemp("detecto"))


def test_the_reference_is_what_detecto_predicts(trained: TrainedDetecto) -> None:
    raw = load(trained.file, DETECTO)
    assert (raw.preprocessing.model_name, raw.class_names, raw.score_floor) == ("resize_800_1333", CLASSES, 0.05)
    picture = strips(1)[0].picture
    labels, boxes, scores = trained.model.predict(picture)
    found = raw.reference.detect(picture, score_threshold=0.0)
    assert (scores >= 0.25).sum() >= 3
    np.testing.assert_allclose(found.boxes_xyxy, boxes.numpy(), atol=0.05)
    np.testing.assert_allclose(found.scores, scores.numpy(), atol=1e-4)
    assert [CLASSES[class_id] for class_id in found.class_ids] == labels


@pytest.mark.timeout(1200)  # seconds: two ResNet-50 at 800 pixels, one in torch and one served, on a busy machine
def test_it_is_served_as_it_was_trained(trained: TrainedDetecto, chain: JoiningChain, tmp_path: Path) -> None:
    sample = tmp_path / "sample"
    sample.mkdir()
    for index, strip in enumerate(strips(5)):
        cv2.imwrite(str(sample / f"{index}.png"), strip.picture[..., ::-1])
    report = export(
        trained.file, repository=tmp_path / "repository", name="detecto", options=DETECTO, chain=chain, sample=sample
    )
    checked = report.verification
    assert checked.outcome == "passed", checked.counts
    assert checked.reference >= 100
    assert report.info.preprocessing.model_name == "resize_800_1333"


def test_without_a_family_it_may_be_two_things(trained: TrainedDetecto) -> None:
    with pytest.raises(CheckpointError, match=r"may be of detecto, fasterrcnn_resnet50_fpn or .*--family detecto"):
        load(trained.file, ExportOptions(classes=CLASSES))


@pytest.mark.parametrize("classes", [("alien", "bat"), ("alien", "bat", "witch", "ghost")])
def test_it_has_three_classes(trained: TrainedDetecto, classes: tuple[str, ...]) -> None:
    with pytest.raises(InvalidOptionError, match=f"{len(classes)} class names were given; .* has 3 classes"):
        load(trained.file, ExportOptions(family="detecto", classes=classes))


def test_its_classes_must_be_named(trained: TrainedDetecto) -> None:
    with pytest.raises(InvalidOptionError, match="holds no class names; give all 3 with --classes"):
        load(trained.file, ExportOptions(family="detecto"))


def test_it_is_no_other_network(trained: TrainedDetecto) -> None:
    with pytest.raises(CheckpointError, match=r"is no retinanet_resnet50_fpn; .*a state_dict of detecto or"):
        load(trained.file, ExportOptions(family="retinanet_resnet50_fpn", classes=CLASSES))
    with pytest.raises(CheckpointError, match=r"does not fit detecto_mobilenet: \d+ tensors have other shapes: "):
        load(trained.file, ExportOptions(family="detecto_mobilenet", classes=CLASSES))
