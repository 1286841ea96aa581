"""Torchvision's detectors with seeded weights: the graph against torchvision itself, in both engines."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torchvision.models import detection

from sightline.preprocessing import Preprocessing
from sightline_export.families import FAMILIES
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture, draw_scene
from sightline_export.pixels import PixelFormat
from sightline_export.raw import RawNetwork
from sightline_export.session import Session
from sightline_export.sources import load
from sightline_export.sources.torchvision.architectures import VARIANTS
from sightline_export.sources.torchvision.reference import TorchvisionDetector
from sightline_server.engines import OpenVinoEngine

CLASSES = ("alien", "bat", "witch")
_LARGE = "fasterrcnn_mobilenet_v3_large_fpn"
NETWORKS = [
    ("fasterrcnn_mobilenet_v3_large_320_fpn", None),
    (_LARGE, 320),
    ("retinanet_resnet50_fpn", 320),
    ("ssdlite320_mobilenet_v3_large", None),
]
"""Family, and the shorter side in pixels."""
SIZES_HW = ((320, 426), (437, 320))
"""Of pictures that the resize leaves as they are."""


@cache
def network(family: str, image_size: int | None) -> RawNetwork:
    return load(Path(f"{family}.random"), ExportOptions(classes=CLASSES, image_size=image_size))


def drawn(raw: RawNetwork) -> list[Picture]:
    sizes = [(320, 320)] * 2 if raw.preprocessing.kind == "stretch_float" else SIZES_HW
    return [draw_scene(size, seed=seed) for seed, size in enumerate(sizes)]


def agreeing(wanted: npt.NDArray[np.float32], came: npt.NDArray[np.float32]) -> tuple[int, int]:
    """How many of the detections [K, 6] came, and how many were wanted; scores of nearly 1 rank by rounding."""
    assert abs(int((wanted[:, 4] > 0).sum()) - int((came[:, 4] > 0).sum())) <= 2
    wanted = wanted[(wanted[:, 4] > 0) & (wanted[:, 4] < 0.999)]
    nearest = [np.abs(came - row).max(axis=1).min() if len(came) else np.inf for row in wanted]
    return int(sum(distance < 1e-3 for distance in nearest)), len(wanted)


@pytest.mark.parametrize(("family", "image_size"), NETWORKS)
def test_the_graph_finds_what_torchvision_finds(family: str, image_size: int | None, tmp_path: Path) -> None:
    raw = network(family, image_size)
    file = tmp_path / "raw.onnx"
    file.write_bytes(raw.model.SerializeToString())
    session, openvino = Session(raw.model), OpenVinoEngine(file, precision="fp32", threads=1)
    for picture in drawn(raw):
        pixels = raw.pixels.apply(picture)[None]
        wanted = raw.reference.raw(pixels)[0]
        assert (wanted[:, 4] > 0).sum() >= 50
        for output in (session.run([pixels])[0], openvino.run({"images": pixels})["output0"]):
            assert output.shape == (1, *wanted.shape)
            # Boxes that overlap another by the threshold to the last digit may go or stay.
            matched, count = agreeing(wanted, np.asarray(output[0]))
            assert matched >= 0.95 * count


@pytest.mark.parametrize(("family", "image_size"), [each for each in NETWORKS if each[0] != _LARGE])
def test_nothing_found_is_an_answer(family: str, image_size: int | None, tmp_path: Path) -> None:
    weights = tmp_path / "silent.pth"
    torch.save(silenced(network(family, image_size)), weights)
    raw = load(weights, ExportOptions(family=family, classes=CLASSES, image_size=image_size))
    grey = np.full_like(drawn(raw)[0], 114)
    file = tmp_path / "silent.onnx"
    file.write_bytes(raw.model.SerializeToString())
    pixels = raw.pixels.apply(grey)[None]
    engine = OpenVinoEngine(file, precision="fp32", threads=1)
    for output in (Session(raw.model).run([pixels])[0], engine.run({"images": pixels})["output0"]):
        assert output.shape[::2] == (1, 6)
        assert not np.asarray(output)[..., 4].any()
    assert len(raw.reference.detect(grey, score_threshold=0.0).scores) == 0


def silenced(raw: RawNetwork) -> dict[str, torch.Tensor]:
    """The weights of a network that is sure to see the background everywhere."""
    assert isinstance(raw.reference, TorchvisionDetector)
    state = {name: value.clone() for name, value in raw.reference.model.state_dict().items()}
    for name, value in state.items():
        if name.endswith("cls_score.bias"):
            value[0] += 10_000
        elif name.endswith("cls_logits.bias") and name.startswith("head."):
            value[:] -= 10_000
        elif "classification_head.module_list" in name and name.endswith(".1.bias") and len(value) == 6 * 4:
            value.reshape(6, 4)[:, 0] += 10_000
    return state


def test_pictures_of_a_batch_do_not_meet() -> None:
    raw = network("ssdlite320_mobilenet_v3_large", None)
    pictures = np.stack([raw.pixels.apply(picture) for picture in drawn(raw)])
    session = Session(raw.model)
    together, alone = session.run([pictures])[0], [session.run([picture[None]])[0][0] for picture in pictures]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-4)


@pytest.mark.parametrize("family", VARIANTS)
def test_families_know_their_networks(family: str) -> None:
    """What the tables say of preprocessing is what torchvision builds."""
    architecture = VARIANTS[family].architecture
    model = getattr(detection, architecture.builder)(weights=None, weights_backbone=None, num_classes=4)
    transform = model.transform
    fixed = transform.fixed_size
    own = Preprocessing.stretch_float(fixed[0]) if fixed else None
    assert architecture.preprocessing == own or architecture.preprocessing == Preprocessing.resize(
        shorter=transform.min_size[0], longest=transform.max_size
    )
    assert FAMILIES[family].preprocessing == architecture.preprocessing.kind
    once = PixelFormat(mean=tuple(transform.image_mean), std=tuple(transform.image_std))
    picture = draw_scene((40, 30), seed=0)
    wanted = torch.from_numpy(once.apply(picture))
    if VARIANTS[family].is_normalised_twice:
        wanted = transform.normalize(wanted)
    np.testing.assert_allclose(FAMILIES[family].pixels.apply(picture), wanted, atol=1e-4)
