"""The model repository in the checkout is what the contract renders today."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import CHECKOUT

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export import config
from sightline_export.pictures import warmup_shape
from sightline_export.preprocessing import render_dali

REPOSITORY = CHECKOUT / "model_repository"
DETECTORS = ("demo",)


def parameters_of(folder: Path) -> dict[str, str]:
    read = config.parse((folder / config.CONFIG_FILE).read_text())
    return {name: parameter.string_value for name, parameter in read.parameters.items()}


def test_nothing_else_stands_there() -> None:
    """What this module does not compare would go unseen."""
    networks = {contract.network_name(name) for name in DETECTORS}
    assert {file.parent.name for file in REPOSITORY.glob("*/config.pbtxt")} == {*DETECTORS, *networks, "letterbox_640"}


def test_the_letterbox() -> None:
    letterbox = Preprocessing.letterbox()
    folder = REPOSITORY / letterbox.model_name
    assert (folder / "1" / contract.DALI_FILE).read_text() == render_dali(letterbox)
    rendered = config.preprocessing_config(
        letterbox,
        max_pixels=int(parameters_of(folder)[contract.MAX_PIXELS_PARAMETER]),
        warmup_jpeg_bytes=(folder / contract.WARMUP_FOLDER / config.WARMUP_JPEG).stat().st_size,
    )
    assert (folder / config.CONFIG_FILE).read_text() == config.render(rendered)


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_detector(detector: str) -> None:
    network = REPOSITORY / contract.network_name(detector)
    info = DetectorInfo.from_parameters(parameters_of(network))
    assert DetectorInfo.from_parameters(parameters_of(REPOSITORY / detector)) == info
    rendered = config.network_config(detector=detector, info=info)
    assert (network / config.CONFIG_FILE).read_text() == config.render(rendered)
    rendered = config.ensemble_config(detector=detector, info=info)
    assert (REPOSITORY / detector / config.CONFIG_FILE).read_text() == config.render(rendered)
    assert (network / contract.WARMUP_FOLDER / config.WARMUP_SHAPE).read_bytes() == warmup_shape()
