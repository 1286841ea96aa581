"""Preprocessing for networks of rectangles: the square, and which part of it is seen; both pipelines, and served."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tests.server.letterbox_reference import encode, largest_difference, picture, reference
from tritonclient.utils import InferenceServerException

from sightline import contract
from sightline.preprocessing import Preprocessing
from sightline_export.config import WARMUP_JPEG, preprocessing_config, render
from sightline_export.preprocessing import render_dali
from sightline_server.launcher import EmbeddedServer

pytest.importorskip("nvidia.dali")
from sightline_server.decoding import Preprocessor
from sightline_server.pipeline import Pipeline

RECT = Preprocessing.rect(416)
LARGE_STRIDE = Preprocessing.rect(640, stride=64)
STRIDES_OF = {RECT: 32, LARGE_STRIDE: 64}
# Ties, and what becomes exactly a multiple of 32 or one pixel more.
SIZES = [(416, 416), (240, 320), (320, 240), (277, 416), (833, 1280), (835, 1280), (1280, 853), (1, 900), (900, 1)]
SIZES += [(1, 1), (31, 33), (256, 416), (257, 416), (288, 416), (289, 416), (97, 61), (1080, 1920)]
PIPELINES = pytest.mark.parametrize(("with_opencv", "allowed"), [(False, 1), (True, 0)], ids=["dali", "opencv"])


def open_pipeline(folder: Path, preprocessing: Preprocessing, *, with_opencv: bool = True) -> Pipeline:
    file = folder / "dali.py"
    file.write_text(render_dali(preprocessing))
    return Pipeline(file, max_batch_size=8, threads=2, with_opencv=with_opencv)


def strides_hw(preprocessing: Preprocessing, size_hw: tuple[int, int]) -> list[int]:
    """What `contract.RECTANGLE` is to say about an image of that size."""
    return [side // STRIDES_OF[preprocessing] for side in preprocessing.seen_hw(size_hw)]


@PIPELINES
@pytest.mark.parametrize("preprocessing", [RECT, LARGE_STRIDE], ids=lambda each: each.model_name)
def test_square_and_rectangle(tmp_path: Path, preprocessing: Preprocessing, with_opencv: bool, allowed: int) -> None:
    pipeline = open_pipeline(tmp_path, preprocessing, with_opencv=with_opencv)
    for start in range(0, len(SIZES), 8):
        sizes = SIZES[start : start + 8]
        files = [encode(".jpg", picture(height=h, width=w, seed=h)) for h, w in sizes]
        found = pipeline.run(files)
        assert found.rectangles_hw.tolist() == [strides_hw(preprocessing, size_hw) for size_hw in sizes]
        for data, image in zip(files, found.images, strict=True):
            wanted = reference(data, preprocessing.sides[0])
            assert wanted is not None
            assert largest_difference(image, wanted) <= allowed


def test_nobody_else_says_which(tmp_path: Path) -> None:
    pipeline = open_pipeline(tmp_path, Preprocessing.letterbox(416))
    assert pipeline.run([encode(".png", picture(height=9, width=5))]).rectangles_hw.tolist() == [[0, 0]]


def test_a_bad_image_leaves_the_others_their_rectangles(tmp_path: Path) -> None:
    """A damaged one has all decoded again, one by one."""
    whole = [encode(".jpg", picture(height=h, width=w)) for h, w in ((240, 320), (320, 240))]
    damaged = whole[0].replace(b"\xff\xdb", b"\xff\xfe")
    preprocessor = Preprocessor(open_pipeline(tmp_path, RECT), picture_hw=RECT.picture_hw, max_pixels=10**6)
    found = preprocessor.run([whole[0], damaged, b"no image", whole[1]])
    assert sorted(found.errors) == [1, 2]
    assert found.rectangles_hw[[0, 3]].tolist() == [[10, 13], [13, 10]]


@pytest.fixture(scope="module")
def client(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]
) -> Iterator[triton.InferenceServerClient]:
    jpeg = encode(".jpg", picture(height=48, width=64))
    config = preprocessing_config(RECT, max_pixels=4_000_000, warmup_jpeg_bytes=len(jpeg))
    for path, content in {
        f"{contract.WARMUP_FOLDER}/{WARMUP_JPEG}": jpeg,
        f"1/{contract.DALI_FILE}": render_dali(RECT).encode(),
        "config.pbtxt": render(config).encode(),
    }.items():
        file = repository / RECT.model_name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    load_model(RECT.model_name)
    with triton.InferenceServerClient(server.grpc_url) as opened:
        yield opened


def ask(client: triton.InferenceServerClient, files: Sequence[bytes]) -> Any:
    """The answer to one request of several images."""
    padded = np.zeros((len(files), max(map(len, files))), np.uint8)
    for row, data in zip(padded, files, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    encoded = triton.InferInput(contract.ENCODED.name, list(padded.shape), contract.ENCODED.datatype)
    encoded.set_data_from_numpy(padded)
    return client.infer(RECT.model_name, [encoded])


@pytest.mark.parametrize(
    ("sizes_hw", "shape"),
    [([(240, 320)], (1, 10, 13)), ([(320, 240)] * 3, (3, 13, 10)), ([(240, 320), (200, 320), (320, 300)], (3, 13, 13))],
    ids=["one", "alike", "mixed"],
)
def test_a_request_has_one_rectangle(
    client: triton.InferenceServerClient, sizes_hw: list[tuple[int, int]], shape: tuple[int, ...]
) -> None:
    """The smallest that holds those of all its images."""
    files = [encode(".png", picture(height=h, width=w, seed=w)) for h, w in sizes_hw]
    answer = ask(client, files)
    assert answer.as_numpy(contract.RECTANGLE.name).shape == shape
    for data, image in zip(files, answer.as_numpy("images"), strict=True):
        wanted = reference(data, RECT.sides[0])
        assert wanted is not None
        assert largest_difference(image, wanted) == 0


def test_a_bad_image_is_refused_and_the_next_one_served(client: triton.InferenceServerClient) -> None:
    data = encode(".jpg", picture(height=240, width=320))
    with pytest.raises(InferenceServerException, match=r"image-error\[corrupt\]"):
        ask(client, [data[: len(data) // 2]])
    assert ask(client, [data]).as_numpy(contract.RECTANGLE.name).shape == (1, 10, 13)
