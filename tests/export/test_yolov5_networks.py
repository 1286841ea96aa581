"""The original networks by construction: parameters, arithmetic and names of weights as in their repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.export.golden.make_yolov5 import layout
from tests.joining_chain import JoiningChain
from torch.utils.flop_counter import FlopCounterMode

from sightline.errors import InvalidOptionError
from sightline_export.exporter import export
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.sources.yolov5 import RANDOM_NAMES
from sightline_export.sources.yolov5.architectures import ARCHITECTURES

NETWORKS: dict[str, dict[str, Any]] = json.loads((Path(__file__).parent / "golden" / "yolov5.json").read_text())[
    "networks"
]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_is_the_network_of_the_original(name: str) -> None:
    golden = NETWORKS[name]
    with torch.device("meta"):
        network = ARCHITECTURES[name](80)
        picture = torch.zeros(1, 3, 640, 640)
    with FlopCounterMode(display=False) as counter:
        network(picture)
    assert sum(each.numel() for each in network.parameters()) == golden["parameters"]
    assert layout(network) == golden["layout"]
    assert max(network.head.strides) == golden["stride"]
    # The golden count has norms and activations in it as well.
    assert counter.get_total_flops() / 1e9 == pytest.approx(golden["gflops"], rel=0.04)


def test_every_network_has_a_name() -> None:
    assert {name.removeprefix("original_") for name in RANDOM_NAMES} == {*ARCHITECTURES} == {*NETWORKS}
    with pytest.raises(InvalidOptionError, match="'original_yolov9' is not known; choose one of original_yolov5n, "):
        load(Path("original_yolov9.random"), ExportOptions())


@pytest.mark.parametrize("name", ["original_yolov5n", "original_yolov5n6", "original_yolov3-tiny"])
def test_random_weights_detect_and_are_served(
    name: str, *, tmp_path: Path, chain: JoiningChain, small_sample: Path
) -> None:
    options = ExportOptions(image_size=320)
    report = export(Path(f"{name}.random"), repository=tmp_path, chain=chain, sample=small_sample, options=options)
    assert report.info.head == "anchors_first"
    assert report.verification.outcome == "passed"
    assert report.verification.reference >= 50 * report.verification.images


def test_seeds_decide_over_random_weights() -> None:
    state = torch.random.get_rng_state()
    picture = np.full((1, 3, 64, 64), 0.5, dtype=np.float32)

    def prediction(seed: int) -> Any:
        reference = load(Path("original_yolov5n.random"), ExportOptions(image_size=320, seed=seed)).reference
        assert reference is not None
        return reference.raw(picture)

    first = prediction(1)
    np.testing.assert_array_equal(first, prediction(1))
    assert np.abs(first - prediction(2)).max() > 1
    assert torch.equal(state, torch.random.get_rng_state())
