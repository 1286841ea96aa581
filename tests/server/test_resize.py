"""Preprocessing without borders, `resize_*` and `stretch_*`, against OpenCV: both pipelines, and served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.server.letterbox_reference import Image, encode, picture
from tritonclient.utils import InferenceServerException

from sightline import contract
from sightline.boxes import resized_shape
from sightline.preprocessing import Preprocessing
from sightline_export.config import WARMUP_JPEG, preprocessing_config, render
from sightline_export.preprocessing import render_dali
from sightline_server.launcher import EmbeddedServer

pytest.importorskip("nvidia.dali")
from sightline_server.pipeline import Pipeline

RESIZE = Preprocessing.resize(shorter=400, longest=667)
STRETCH = Preprocessing.stretch(320)
STRETCH_FLOAT = Preprocessing.stretch_float(320)
# Among them sizes whose floor in FLOAT would be another than in FLOAT64, and sides of one pixel.
SIZES = [(480, 640), (640, 480), (427, 640), (385, 640), (400, 667), (667, 400), (853, 1280), (1080, 1920), (97, 61)]
SIZES += [(1, 1), (1, 900), (900, 1), (333, 500), (1333, 800), (768, 769), (399, 399), (2000, 1499), (31, 33)]
PIPELINES = pytest.mark.parametrize("with_opencv", [False, True], ids=["dali", "opencv"])


def write(folder: Path, preprocessing: Preprocessing) -> Path:
    file = folder / "dali.py"
    file.write_text(render_dali(preprocessing))
    return file


def resized(bgr: Image, preprocessing: Preprocessing) -> Image:
    """RGB, by OpenCV: in whole grey levels, or FP32 as torchvision has it."""
    height, width = bgr.shape[:2]
    if preprocessing.kind != "resize":
        target_hw = preprocessing.picture_hw
    else:
        shorter, longest = preprocessing.sides
        target_hw = resized_shape(image_size_hw=(height, width), shorter=shorter, longest=longest)
    same = target_hw == (height, width)
    bgr = bgr.astype(preprocessing.images.dtype)
    bgr = bgr if same else cv2.resize(bgr, target_hw[::-1], interpolation=cv2.INTER_LINEAR)
    rgb: Image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    return rgb


def decoded(data: bytes) -> Image:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return bgr


@PIPELINES
@pytest.mark.parametrize("preprocessing", [RESIZE, STRETCH, STRETCH_FLOAT], ids=lambda each: each.model_name)
def test_sizes(tmp_path: Path, preprocessing: Preprocessing, with_opencv: bool) -> None:
    pipeline = Pipeline(write(tmp_path, preprocessing), max_batch_size=1, threads=2, with_opencv=with_opencv)
    assert pipeline.uses_opencv == with_opencv
    # OpenCV's own resize leaves nothing of the difference but FP32's last digit.
    allowed = 1e-4 if with_opencv else 1.0 if preprocessing.kind == "stretch" else 0.02
    wrong = {}
    for seed, (height, width) in enumerate(SIZES):
        data = encode(".jpg", picture(height=height, width=width, seed=seed))
        found = pipeline.run([data])
        wanted = resized(decoded(data), preprocessing)
        assert found.images.shape[1:] == wanted.shape, (height, width)
        assert found.images.dtype == wanted.dtype == preprocessing.images.dtype
        assert found.original_shapes.tolist() == [[height, width, 3]]
        if (difference := float(cv2.absdiff(found.images[0], wanted).max())) > allowed:
            wrong[height, width] = difference
    assert not wrong


@PIPELINES
def test_the_size_is_torchvisions(tmp_path: Path, with_opencv: bool) -> None:
    """Side by side, rounded down in float64, for every size in a range that holds many near misses."""
    preprocessing = Preprocessing.resize(shorter=80, longest=133)
    pipeline = Pipeline(write(tmp_path, preprocessing), max_batch_size=1, threads=1, with_opencv=with_opencv)
    sizes = [(height, 60) for height in range(20, 180, 3)] + [(44, width) for width in range(20, 180, 3)]
    for height, width in sizes:
        found = pipeline.run([encode(".bmp", np.zeros((height, width, 3), np.uint8))]).images.shape[1:3]
        assert found == resized_shape(image_size_hw=(height, width), shorter=80, longest=133), (height, width)


@pytest.fixture(scope="module")
def client(server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]) -> triton.InferenceServerClient:
    jpeg = encode(".jpg", picture(height=48, width=64))
    for preprocessing in (RESIZE, STRETCH):
        folder = repository / preprocessing.model_name
        config = preprocessing_config(preprocessing, max_pixels=4_000_000, warmup_jpeg_bytes=len(jpeg))
        for path, content in {
            f"{contract.WARMUP_FOLDER}/{WARMUP_JPEG}": jpeg,
            f"1/{contract.DALI_FILE}": render_dali(preprocessing).encode(),
            "config.pbtxt": render(config).encode(),
        }.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        load_model(preprocessing.model_name)
    return triton.InferenceServerClient(server.grpc_url)


def served(client: triton.InferenceServerClient, preprocessing: Preprocessing, data: bytes) -> Image:
    encoded = triton.InferInput(contract.ENCODED.name, [1, len(data)], contract.ENCODED.datatype)
    encoded.set_data_from_numpy(np.frombuffer(data, np.uint8)[None])
    images: Image = client.infer(preprocessing.model_name, [encoded]).as_numpy(preprocessing.images.name)
    first: Image = images[0]
    return first


@pytest.mark.parametrize("preprocessing", [RESIZE, STRETCH], ids=str)
def test_served(client: triton.InferenceServerClient, preprocessing: Preprocessing) -> None:
    for size_hw in ((480, 640), (700, 90)):
        data = encode(".png", picture(height=size_hw[0], width=size_hw[1]))
        wanted = resized(decoded(data), preprocessing)
        np.testing.assert_allclose(served(client, preprocessing, data), wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize("preprocessing", [RESIZE, STRETCH], ids=str)
def test_a_bad_image_is_refused_and_the_next_one_served(
    client: triton.InferenceServerClient, preprocessing: Preprocessing
) -> None:
    data = encode(".jpg", picture(height=480, width=640))
    with pytest.raises(InferenceServerException, match=r"image-error\[corrupt\]"):
        served(client, preprocessing, data[: len(data) // 2])
    assert served(client, preprocessing, data).shape == resized(decoded(data), preprocessing).shape
