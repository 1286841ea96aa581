"""State_dicts that are what they should be, and files that are something else."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import detection, resnet18

from sightline.errors import CheckpointError, InvalidOptionError
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.sources.torchvision.architectures import VARIANTS, fitting_families
from sightline_export.sources.torchvision.ssdlite import ssdlite_with_full_tail

CLASSES = ("alien", "bat", "witch")
Save = Callable[[object], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """A function that saves something as a `.pth` file."""

    def write(content: object) -> Path:
        path = tmp_path / "weights.pth"
        torch.save(content, path)
        return path

    return write


@cache
def ssdlite() -> Any:
    return detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=4)


def names_of(builder: str, *, frozen: bool) -> dict[str, torch.Tensor]:
    """A state_dict's names and shapes; its numbers do not matter."""
    with torch.device("meta"):
        model = getattr(detection, builder)(weights=None, weights_backbone=None, num_classes=4)
    return {name: value for name, value in model.state_dict().items() if not (frozen and name.endswith("_tracked"))}


@pytest.mark.parametrize(
    ("builder", "frozen", "families"),
    [
        ("fasterrcnn_resnet50_fpn", True, ["detecto", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_imagenet"]),
        ("fasterrcnn_resnet50_fpn", False, ["fasterrcnn_resnet50_fpn"]),
        ("retinanet_resnet50_fpn", True, ["retinanet_resnet50_fpn", "retinanet_resnet50_fpn_imagenet"]),
        ("retinanet_resnet50_fpn", False, ["retinanet_resnet50_fpn"]),
        ("fasterrcnn_resnet50_fpn_v2", False, []),
        ("retinanet_resnet50_fpn_v2", False, []),
        ("maskrcnn_resnet50_fpn", True, []),
        ("keypointrcnn_resnet50_fpn", True, []),
        ("fcos_resnet50_fpn", True, []),
        ("ssd300_vgg16", False, []),
    ],
)
def test_a_state_dict_shows_its_family(builder: str, frozen: bool, families: list[str]) -> None:
    assert fitting_families(names_of(builder, frozen=frozen)) == families


def test_the_only_family_need_not_be_named(saved: Save) -> None:
    raw = load(saved(ssdlite().state_dict()), ExportOptions(classes=CLASSES))
    assert (raw.class_names, raw.preprocessing.model_name) == (CLASSES, "stretch_float_320")


def test_ssdlite_with_the_backbone_of_imagenet(saved: Save) -> None:
    state = ssdlite_with_full_tail(4).state_dict()
    assert load(saved(state), ExportOptions(classes=CLASSES)).head.name == "end_to_end"


def test_ssdlite_has_one_size(saved: Save) -> None:
    with pytest.raises(InvalidOptionError, match=r"image size 640 is not possible: .* takes 320 pixels only"):
        load(saved(ssdlite().state_dict()), ExportOptions(classes=CLASSES, image_size=640))


def test_a_training_checkpoint_says_where_the_weights_are(saved: Save) -> None:
    path = saved({"model": ssdlite().state_dict(), "optimizer": {}, "epoch": 3})
    with pytest.raises(CheckpointError, match=r"'model' holds the state_dict, and beside it stand epoch, optimizer"):
        load(path, ExportOptions(classes=CLASSES))


@pytest.mark.parametrize("content", [Namespace(lr=0.1), {"model": {}, "args": Namespace(lr=0.1)}])
def test_code_is_not_run(saved: Save, content: object) -> None:
    with pytest.raises(CheckpointError, match=r"more than tensors, .* save model\.state_dict\(\)"):
        load(saved(content), ExportOptions(family="detecto", classes=CLASSES))


def test_a_whole_model(saved: Save) -> None:
    """Reading a checkpoint of Ultralytics lets torch's layers be read in this process from then on; nothing is run."""
    with pytest.raises(CheckpointError, match=r"more than tensors|holds torch\.nn\S*Conv2d; allowed is a state_dict"):
        load(saved(nn.Conv2d(3, 3, 1)), ExportOptions(family="detecto", classes=CLASSES))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ([torch.zeros(1)], "holds list; allowed is a state_dict"),
        ({}, "holds nothing at all"),
        ({"epoch": 3}, "holds 'epoch' of int where tensors are expected"),
        ({"module.conv.weight": torch.zeros(1)}, r"DataParallel.*model\.module\.state_dict"),
        ({"conv.weight": torch.zeros(1)}, "a state_dict of no known detector .*'conv.weight'.*; allowed is one of"),
        (resnet18(weights=None).state_dict(), "a state_dict of a classifier"),
    ],
)
def test_other_contents_are_named(saved: Save, content: object, what: str) -> None:
    with pytest.raises(CheckpointError, match=what):
        load(saved(content), ExportOptions(classes=CLASSES))


def test_a_truncated_file(saved: Save) -> None:
    path = saved(ssdlite().state_dict())
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(CheckpointError, match="truncated"):
        load(path, ExportOptions(family="ssdlite320_mobilenet_v3_large", classes=CLASSES))


def test_tensors_of_other_shapes_and_missing_ones(saved: Save) -> None:
    family = "ssdlite320_mobilenet_v3_large"
    state = dict(ssdlite().state_dict())
    del state["backbone.features.0.0.0.weight"]
    with pytest.raises(CheckpointError, match=rf"does not fit {family}: 1 tensors are missing, such as backbone\.feat"):
        load(saved(state), ExportOptions(family=family, classes=CLASSES))
    state["backbone.features.0.0.0.weight"] = torch.zeros(16, 3, 5, 5)
    with pytest.raises(CheckpointError, match=rf"does not fit {family}: .*size mismatch"):
        load(saved(state), ExportOptions(family=family, classes=CLASSES))


def test_no_such_random_network() -> None:
    with pytest.raises(InvalidOptionError, match=f"'yolo99' is none of torchvision's: {next(iter(VARIANTS))}"):
        load(Path("yolo99.random"), ExportOptions())
