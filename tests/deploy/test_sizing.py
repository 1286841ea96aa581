"""The memory pools: computed by hand for the demo detector, and what changes them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.deploy.compose_file import CHECKOUT, read_env

from sightline.cli import cli
from sightline.contract import (
    DEFAULT_MAX_DETECTIONS,
    DEFAULT_MAX_PIXELS,
    MAX_BATCH_SIZE,
    NETWORK_INSTANCES,
    PREPROCESSING_INSTANCES,
)
from sightline.errors import InvalidOptionError
from sightline.images import DEFAULT_MAX_IMAGE_BYTES
from sightline_export.sizing import Sizes, size_repository

MIB = 1 << 20
PICTURE = 640 * 640 * 3
SHAPE = 3 * 8
THRESHOLD = 4
DETECTIONS = 4 + DEFAULT_MAX_DETECTIONS * (16 + 4 + 4)


def size(repository: Path, *, gpus: int = 1, images_in_flight: int = 0) -> Sizes:
    return size_repository(
        repository, gpus=gpus, images_in_flight=images_in_flight, max_image_bytes=DEFAULT_MAX_IMAGE_BYTES
    )


@pytest.fixture
def copied(tmp_path: Path, demo_repository: Path) -> Path:
    """A copy of the demo repository's configurations."""
    for config in demo_repository.glob("*/config.pbtxt"):
        folder = tmp_path / config.parent.name
        folder.mkdir()
        shutil.copy(config, folder)
    return tmp_path


def edit(repository: Path, model: str, old: str, new: str) -> None:
    config = repository / model / "config.pbtxt"
    text = config.read_text(encoding="utf-8")
    assert old in text
    config.write_text(text.replace(old, new), encoding="utf-8")


def test_the_committed_settings_are_those_of_the_committed_repository() -> None:
    shown = CliRunner().invoke(cli, ["sizing", str(CHECKOUT / "model_repository")])
    assert shown.exit_code == 0
    printed = dict(line.split("=") for line in shown.stdout.splitlines())
    assert len(printed) == 4
    settings = read_env()
    assert printed == {name: settings[name] for name in printed}


def test_the_pools_of_the_demo_detector(demo_repository: Path) -> None:
    inputs, outputs = PICTURE + SHAPE + THRESHOLD, DETECTIONS
    letterbox = PREPROCESSING_INSTANCES * MAX_BATCH_SIZE * (PICTURE + SHAPE)
    network = NETWORK_INSTANCES * MAX_BATCH_SIZE
    needed = letterbox + network * (3 * inputs + outputs)
    sizes = size(demo_repository)
    assert needed <= sizes.cuda_pool_bytes < 2 * needed
    # One batch of everything, which is less than Triton's default.
    assert letterbox + network * (inputs + outputs) < sizes.pinned_pool_bytes == 256 * MIB
    assert sizes.http_max_input_bytes == DEFAULT_MAX_IMAGE_BYTES + MIB
    assert sizes.shared_memory_bytes == 1024 * MIB
    assert sizes.decoding_bytes == PREPROCESSING_INSTANCES * MAX_BATCH_SIZE * DEFAULT_MAX_PIXELS * 3
    assert sizes.left_out == ()


def test_more_instances_take_more(copied: Path, demo_repository: Path) -> None:
    edit(copied, "demo_net", "count: 2", "count: 8")
    assert size(copied).cuda_pool_bytes == 2 * size(demo_repository).cuda_pool_bytes


def test_images_that_wait_take_more(demo_repository: Path) -> None:
    needed = 500 * PICTURE
    assert needed < size(demo_repository, images_in_flight=500).cuda_pool_bytes < 3 * needed


def test_each_gpu_has_a_cuda_pool_and_all_share_the_pinned_one(demo_repository: Path) -> None:
    one, eight = size(demo_repository), size(demo_repository, gpus=8)
    assert eight.cuda_pool_bytes == one.cuda_pool_bytes
    assert eight.pinned_pool_bytes == 512 * MIB


def test_models_on_the_cpu_take_nothing_of_the_gpu(copied: Path) -> None:
    for model, count in (("demo_net", 2), ("letterbox_640", 1)):
        edit(copied, model, f"count: {count}", f"count: {count}\n  kind: KIND_CPU")
    sizes = size(copied)
    assert (sizes.cuda_pool_bytes, sizes.decoding_bytes) == (64 * MIB, 0)


def test_resized_pictures_count_with_their_largest_size(copied: Path) -> None:
    (copied / "letterbox_640").rename(copied / "resize_800_1333")
    edit(copied, "resize_800_1333", "letterbox_640", "resize_800_1333")
    edit(copied, "resize_800_1333", "max_batch_size: 16", "max_batch_size: 1")
    edit(copied, "resize_800_1333", "TYPE_UINT8\n  dims: 640\n  dims: 640", "TYPE_FP32\n  dims: -1\n  dims: -1")
    edit(copied, "demo_net", "letterbox_640", "resize_800_1333")
    edit(copied, "demo_net", "max_batch_size: 16", "max_batch_size: 1")
    fixed, varying = ("\n".join(f"  dims: {dim}" for dim in (side, side, 3)) for side in (640, -1))
    edit(copied, "demo_net", f"TYPE_UINT8\n{fixed}\n}}\ninput", f"TYPE_FP32\n{varying}\n}}\ninput")
    picture = 800 * 1333 * 3 * 4
    needed = picture + NETWORK_INSTANCES * 3 * picture
    sizes = size(copied)
    assert sizes.left_out == ()
    assert needed <= sizes.cuda_pool_bytes < 2.1 * needed


def test_a_model_of_unknown_size_is_named(copied: Path) -> None:
    (copied / "text").mkdir()
    (copied / "text" / "config.pbtxt").write_text(
        'name: "text" backend: "python" input { name: "words" data_type: TYPE_STRING dims: -1 }', encoding="utf-8"
    )
    assert size(copied).left_out == ("text",)
    shown = CliRunner().invoke(cli, ["sizing", str(copied)])
    assert "Left out, since their tensors vary in size: text." in shown.stderr


def test_what_cannot_be_sized_is_said(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidOptionError, match="holds no model"):
        size(tmp_path / "nowhere")
    with pytest.raises(InvalidOptionError, match="gpus is 0"):
        size(copied, gpus=0)
    (copied / "demo" / "config.pbtxt").write_text("nonsense {", encoding="utf-8")
    with pytest.raises(InvalidOptionError, match=r"demo/config\.pbtxt cannot be read"):
        size(copied)
