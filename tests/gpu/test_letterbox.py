"""The letterbox on a GPU against OpenCV's, with either of the GPU's JPEG decoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from tests.server.letterbox_reference import Image, encode, largest_difference, picture, reference
from tests.server.test_dali_isolation import PROMISED, ROUNDED, damaged
from tests.server.test_letterbox_parity import SIZES, oriented

from sightline.errors import CorruptImageError
from sightline.preprocessing import Preprocessing
from sightline_export.preprocessing import render_dali
from sightline_server.cuda import CudaDevice
from sightline_server.decoding import Preprocessor
from sightline_server.dlpack import CUDA
from sightline_server.gpu import Gpus
from sightline_server.pipeline import Pipeline

pytestmark = pytest.mark.gpu

BATCH_SIZE = 8
SIDE = 640
STATED_LOAD = "hw_decoder_load=1.0"
EXACT = 1
"""Grey levels by which two ways to round a bilinear mean may differ."""
JPEG = 1 + 2 + EXACT
"""One step of rounding in Y, one in Cb or Cr (up to 1.77 grey levels), and that of the resize."""
LOADS = pytest.mark.parametrize("hw_decoder_load", [0.0, 1.0])


@pytest.fixture
def make(gpus: Gpus, tmp_path: Path) -> Callable[[float], Pipeline]:
    """Makes the pipeline on GPU 0, with another share for the hardware decoder."""

    def make(hw_decoder_load: float) -> Pipeline:
        text = render_dali(Preprocessing.letterbox(SIDE))
        assert text.count(STATED_LOAD) == 1
        file = tmp_path / "dali.py"
        file.write_text(text.replace(STATED_LOAD, f"hw_decoder_load={hw_decoder_load}"))
        return Pipeline(file, max_batch_size=BATCH_SIZE, threads=2, device=0)

    return make


def run(pipeline: Pipeline, files: list[bytes]) -> list[Image]:
    """The pictures of all files, in batches, fetched from the GPU."""
    device = CudaDevice(0)
    found: list[Image] = []
    for start in range(0, len(files), BATCH_SIZE):
        pictures = pipeline.run(files[start : start + BATCH_SIZE])
        assert {row.device for row in pictures.images} == {(CUDA, 0)}
        assert {row.shape for row in pictures.images} == {(1, SIDE, SIDE, 3)}
        found += [device.to_host(row)[0] for row in pictures.images]
    return found


def differences(pipeline: Pipeline, files: list[bytes]) -> list[int]:
    """Largest difference from the reference, per file."""
    expected = [reference(data, SIDE) for data in files]
    return [largest_difference(image, wanted) for image, wanted in zip(run(pipeline, files), expected, strict=True)]  # type: ignore[arg-type]


@LOADS
@pytest.mark.parametrize(("extension", "allowed"), [(".png", EXACT), (".jpg", JPEG)])
def test_sizes(make: Callable[[float], Pipeline], hw_decoder_load: float, extension: str, allowed: int) -> None:
    files = [encode(extension, picture(height=h, width=w, seed=i)) for i, (h, w) in enumerate(SIZES)]
    found = dict(zip(SIZES, differences(make(hw_decoder_load), files), strict=True))
    assert {size: d for size, d in found.items() if d > allowed} == {}


@LOADS
def test_photographs(make: Callable[[float], Pipeline], hw_decoder_load: float, pictures: Mapping[str, bytes]) -> None:
    found = dict(zip(pictures, differences(make(hw_decoder_load), list(pictures.values())), strict=True))
    assert {name: d for name, d in found.items() if d > JPEG} == {}


@LOADS
def test_promised_formats_and_orientations(make: Callable[[float], Pipeline], hw_decoder_load: float) -> None:
    files = {name: make_file() for name, make_file in PROMISED.items()}
    files |= {f"JPEG of orientation {value}": oriented("JPEG", value) for value in range(1, 9)}
    found = dict(zip(files, differences(make(hw_decoder_load), list(files.values())), strict=True))
    allowed = {name: ROUNDED.get(name, EXACT) + (JPEG if "JPEG" in name else 0) for name in files}
    assert {name: d for name, d in found.items() if d > allowed[name]} == {}


@LOADS
def test_a_picture_does_not_depend_on_its_batch(
    make: Callable[[float], Pipeline], hw_decoder_load: float, pictures: Mapping[str, bytes]
) -> None:
    pipeline = make(hw_decoder_load)
    files = list(pictures.values())
    together = run(pipeline, files)
    for data, image in zip(files, together, strict=True):
        np.testing.assert_array_equal(run(pipeline, [data])[0], image)


def test_what_was_given_stays_as_it_is(make: Callable[[float], Pipeline], pictures: Mapping[str, bytes]) -> None:
    pipeline, device = make(1.0), CudaDevice(0)
    files = list(pictures.values())[:BATCH_SIZE]
    rows = pipeline.run(files).images
    before = [device.to_host(row) for row in rows]
    for _ in range(5):
        pipeline.run(files[::-1])
    for row, values in zip(rows, before, strict=True):
        np.testing.assert_array_equal(device.to_host(row), values)


@LOADS
def test_an_undecodable_picture_fails_alone(
    make: Callable[[float], Pipeline], hw_decoder_load: float, pictures: Mapping[str, bytes]
) -> None:
    files = list(pictures.values())[:5]
    files[2] = damaged(files[2])  # which no look at the header finds
    files.append(files[0][: len(files[0]) // 2])
    preprocessor = Preprocessor(make(hw_decoder_load), picture_hw=(SIDE, SIDE), max_pixels=200_000_000)
    result = preprocessor.run(files)
    assert sorted(result.errors) == [2, 5]
    assert isinstance(result.errors[2], CorruptImageError)
    device = CudaDevice(0)
    for index in (0, 1, 3, 4):
        wanted = reference(files[index], SIDE)
        assert wanted is not None
        assert largest_difference(device.to_host(result.images[index])[0], wanted) <= JPEG
    assert not preprocessor.run(files[:2]).errors, "it works again"
