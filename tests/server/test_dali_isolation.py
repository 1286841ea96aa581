"""Every image gets its picture or its own error, and its neighbours never notice. Without Triton."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from tests.server import failing_pipeline
from tests.server.letterbox_reference import encode, largest_difference, picture, reference

from sightline.errors import CorruptImageError, ImageError, InferenceError, LaunchError
from sightline.headers import inspect_header
from sightline.preprocessing import Preprocessing
from sightline_export.preprocessing import render_dali

pytest.importorskip("nvidia.dali")
from sightline_server.decoding import Preprocessor
from sightline_server.pipeline import Pictures, Pipeline

MAX_PIXELS = 200_000_000
BATCH_SIZE = 16

# Kind of the error, and words of its reason.
ERRORS = {
    "broken.png": ("corrupt", "damaged PNG"),
    "broken_data_stream.png": ("corrupt", "truncated PNG"),
    "decompression_bomb.gif": ("unsupported", "GIF"),
    "hopper.avif": ("unsupported", "AVIF"),
    "hopper.gif": ("unsupported", "GIF"),
    "negative_size.ppm": ("unsupported", "not an image"),
    "photoshop-200dpi-broken.jpg": ("corrupt", "JPEG of 200 x 200 pixels cannot be decoded"),
    "reallybig.bmp": ("too-large", "6,000,000.0 megapixels"),
    "truncated_app14.jpg": ("corrupt", "JPEG of 100 x 100 pixels cannot be decoded"),
    "truncated_image.png": ("corrupt", "truncated PNG"),
    "truncated_jpeg.jpg": ("corrupt", "truncated JPEG"),
    "zero_width.gif": ("corrupt", "0 x 32"),
}
# CMYK, palettes of TIFF and 16-bit samples become 8-bit RGB by another rounding than OpenCV's.
ROUNDED = {"pil_sample_cmyk.jpg": 3, "basn2c16.png": 2, "CMYK JPEG": 3, "16-bit PNG": 2, "palette TIFF": 2}


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    file = tmp_path_factory.mktemp("letterbox") / "dali.py"
    file.write_text(render_dali(Preprocessing.letterbox(640)))
    return Pipeline(file, max_batch_size=BATCH_SIZE, threads=2)


@pytest.fixture(scope="module")
def preprocessor(pipeline: Pipeline) -> Preprocessor:
    return Preprocessor(pipeline, picture_hw=(640, 640), max_pixels=MAX_PIXELS)


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted((shared_data / "coco" / "images").glob("*.jpg"))[:BATCH_SIZE]]


def undecodable(preprocessor: Preprocessor, data: bytes) -> ImageError | None:
    error = preprocessor.run([data]).errors.get(0)
    assert error is None or isinstance(error, ImageError)
    return error


def test_nothing(preprocessor: Preprocessor) -> None:
    pictures = preprocessor.run([])
    assert pictures.images.shape == (0, 640, 640, 3)
    assert pictures.errors == {}


def test_every_awkward_file(preprocessor: Preprocessor, shared_data: Path) -> None:
    paths = [path for path in sorted((shared_data / "awkward").rglob("*")) if path.is_file()]
    assert {path.name for path in paths} >= set(ERRORS)
    for start in range(0, len(paths), BATCH_SIZE):
        batch = paths[start : start + BATCH_SIZE]
        pictures = preprocessor.run([path.read_bytes() for path in batch])
        for index, path in enumerate(batch):
            error = pictures.errors.get(index)
            if path.name in ERRORS:
                kind, words = ERRORS[path.name]
                assert error is not None, path.name
                assert (error.kind, words in str(error)) == (kind, True), f"{path.name}: {error}"
                continue
            assert error is None, f"{path.name}: {error}"
            expected = reference(path.read_bytes(), 640)
            assert expected is not None, path.name
            assert largest_difference(pictures.images[index], expected) <= ROUNDED.get(path.name, 1), path.name


def test_neighbours_of_a_bad_picture_keep_their_fractions(tmp_path: Path) -> None:
    file = tmp_path / "dali.py"
    file.write_text(render_dali(Preprocessing.resize(shorter=320, longest=640)))
    pipeline = Pipeline(file, max_batch_size=4, threads=1)
    preprocessor = Preprocessor(pipeline, picture_hw=(320, 320), max_pixels=MAX_PIXELS, dtype="float32")
    data = encode(".png", picture(height=200, width=200))
    alone = preprocessor.run([data]).images[0].copy()
    assert (alone % 1 != 0).mean() > 0.5
    beside = preprocessor.run([data, b"nothing", data])
    assert list(beside.errors) == [1]
    for index in (0, 2):
        np.testing.assert_array_equal(beside.images[index], alone)


def saved(pillow_format: str, mode: str, **options: object) -> bytes:
    rgb = PillowImage.fromarray(picture(height=480, width=611))
    file = io.BytesIO()
    rgb.convert(mode).save(file, pillow_format, **options)
    return file.getvalue()


PROMISED: dict[str, Callable[[], bytes]] = {
    "grey JPEG": lambda: saved("JPEG", "L"),
    "progressive JPEG": lambda: saved("JPEG", "RGB", progressive=True),
    "CMYK JPEG": lambda: saved("JPEG", "CMYK"),
    "JPEG without subsampling": lambda: saved("JPEG", "RGB", subsampling=0),
    "grey PNG": lambda: saved("PNG", "L"),
    "one-bit PNG": lambda: saved("PNG", "1"),
    "palette PNG": lambda: saved("PNG", "P"),
    "PNG with alpha": lambda: saved("PNG", "RGBA"),
    "grey PNG with alpha": lambda: saved("PNG", "LA"),
    "16-bit grey PNG": lambda: saved("PNG", "I;16"),
    "16-bit PNG": lambda: encode(".png", (picture(height=480, width=611).astype(np.uint16) * 257)),
    "WebP": lambda: saved("WEBP", "RGB"),
    "lossless WebP": lambda: saved("WEBP", "RGB", lossless=True),
    "WebP with alpha": lambda: saved("WEBP", "RGBA"),
    "BMP": lambda: saved("BMP", "RGB"),
    "grey BMP": lambda: saved("BMP", "L"),
    "palette BMP": lambda: saved("BMP", "P"),
    "BMP with alpha": lambda: saved("BMP", "RGBA"),
    "one-bit BMP": lambda: saved("BMP", "1"),
    "TIFF": lambda: saved("TIFF", "RGB"),
    "grey TIFF": lambda: saved("TIFF", "L"),
    "palette TIFF": lambda: saved("TIFF", "P"),
    "LZW TIFF": lambda: saved("TIFF", "RGB", compression="tiff_lzw"),
    "Deflate TIFF": lambda: saved("TIFF", "RGB", compression="tiff_adobe_deflate"),
    "JPEG TIFF": lambda: saved("TIFF", "RGB", compression="jpeg"),
    "TIFF with alpha": lambda: saved("TIFF", "RGBA"),
}


@pytest.mark.parametrize("name", PROMISED)
def test_promised_formats(preprocessor: Preprocessor, name: str) -> None:
    data = PROMISED[name]()
    pictures = preprocessor.run([data])
    assert pictures.errors == {}
    assert pictures.original_shapes.tolist() == [[480, 611, 3]]
    expected = reference(data, 640)
    assert expected is not None
    assert largest_difference(pictures.images[0], expected) <= ROUNDED.get(name, 1)


@pytest.mark.parametrize(
    "name", ["JPEG without subsampling", "progressive JPEG", "PNG", "WebP", "lossless WebP", "BMP", "TIFF", "LZW TIFF"]
)
def test_truncated_files(preprocessor: Preprocessor, name: str) -> None:
    data = PROMISED[name]() if name != "PNG" else saved("PNG", "RGB")
    for kept_bytes in (len(data) - 1, len(data) - 2, len(data) * 9 // 10, len(data) // 2, len(data) // 100):
        error = undecodable(preprocessor, data[:kept_bytes])
        assert error is not None, kept_bytes
        assert error.kind == "corrupt", kept_bytes


@pytest.mark.parametrize("name", ["progressive JPEG", "grey JPEG", "palette PNG"])
def test_a_truncated_file_stays_one_when_padded_to_its_neighbours_length(preprocessor: Preprocessor, name: str) -> None:
    """The decoder alone takes the padding for the rest of the picture, and gives half a picture."""
    data = PROMISED[name]()
    error = undecodable(preprocessor, data[: len(data) // 2] + bytes(100_000))
    assert error is not None
    assert "truncated" in str(error)


def damaged(photo: bytes) -> bytes:
    """A JPEG that looks whole, and that only the decoder finds undecodable: its quantization tables are gone."""
    return photo.replace(b"\xff\xdb", b"\xff\xfe")


def test_neighbours_get_what_they_get_alone(preprocessor: Preprocessor, photos: list[bytes]) -> None:
    alone = [preprocessor.run([data]).images[0].copy() for data in photos]
    bad = {2: photos[2][:-5], 3: damaged(photos[3]), 9: b"text", 15: b""}
    kinds = {2: "corrupt", 3: "corrupt", 9: "unsupported", 15: "empty"}
    pictures = preprocessor.run([bad.get(index, data) for index, data in enumerate(photos)])
    assert {index: error.kind for index, error in pictures.errors.items()} == kinds
    for index, image in enumerate(pictures.images):
        assert np.array_equal(image, np.zeros_like(image) if index in bad else alone[index]), index


def test_a_batch_of_nothing_but_undecodable_images(preprocessor: Preprocessor, photos: list[bytes]) -> None:
    pictures = preprocessor.run([damaged(data) for data in photos])
    assert sorted(pictures.errors) == list(range(BATCH_SIZE))
    assert preprocessor.run(photos).errors == {}


def test_pipeline_alone_fails_the_whole_batch_and_recovers(pipeline: Pipeline, photos: list[bytes]) -> None:
    with pytest.raises(RuntimeError, match="Critical error in pipeline"):
        pipeline.run([*photos[:3], damaged(photos[3])])
    assert pipeline.run(photos[:3]).images.shape == (3, 640, 640, 3)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CUDA driver API error CUDA_ERROR_OUT_OF_MEMORY (2): out of memory", InferenceError),
        ("CUDA runtime API error cudaErrorIllegalAddress (700): an illegal memory access", InferenceError),
        ("CUDA allocation failed", InferenceError),
        ("Failed to decode sample #0", CorruptImageError),
    ],
)
def test_a_picture_is_not_blamed_for_the_machine(tmp_path: Path, words: str, kind: type[Exception]) -> None:
    small, large = (encode(".png", picture(height=side, width=side)) for side in (20, 200))
    failing_pipeline.write(tmp_path / "dali.py", words=words, above_bytes=len(large) - 1)
    pipeline = Pipeline(tmp_path / "dali.py", max_batch_size=4, threads=1)
    preprocessor = Preprocessor(pipeline, picture_hw=(8, 8), max_pixels=MAX_PIXELS)
    for files, bad in (([large], 0), ([small, large, small], 1)):
        errors = preprocessor.run(files).errors
        assert {index: type(error) for index, error in errors.items()} == {bad: kind}
        assert "PNG of 200 x 200 pixels" in str(errors[bad])
        assert (words in str(errors[bad])) == (kind is InferenceError)


@pytest.mark.parametrize("with_opencv", [True, False])
def test_the_cpu_takes_over_where_a_gpu_was_found_and_failed(tmp_path: Path, *, with_opencv: bool) -> None:
    # What the file finds where CUDA was initialised before the GPUs were hidden.
    found, text = "ON_GPU = has_gpu()", render_dali(Preprocessing.letterbox(320))
    assert text.count(found) == 1
    (tmp_path / "dali.py").write_text(text.replace(found, "ON_GPU = True"))
    pipeline = Pipeline(tmp_path / "dali.py", max_batch_size=1, threads=1, with_opencv=with_opencv)
    data = encode(".png", picture(height=20, width=30))
    expected = reference(data, 320)
    assert expected is not None
    assert largest_difference(pipeline.run([data]).images[0], expected) <= 1


def test_a_batch_above_the_pixel_limit_is_decoded_in_parts(
    pipeline: Pipeline, photos: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Preprocessor(pipeline, picture_hw=(640, 640), max_pixels=MAX_PIXELS).run(photos)
    expected = whole.images.copy(), whole.original_shapes.copy()
    run, at_once = pipeline.run, list[list[int]]()

    def counted(files: Sequence[bytes]) -> Pictures:
        at_once.append([inspect_header(data).pixels for data in files])
        return run(files)

    monkeypatch.setattr(pipeline, "run", counted)
    in_parts = Preprocessor(pipeline, picture_hw=(640, 640), max_pixels=MAX_PIXELS, pixels_at_once=640 * 640).run(
        photos
    )
    assert in_parts.errors == {}
    assert sum(map(len, at_once)) == BATCH_SIZE
    assert all(len(pixels) == 1 or sum(pixels) <= 640 * 640 for pixels in at_once)
    assert np.array_equal(in_parts.images, expected[0])
    assert np.array_equal(in_parts.original_shapes, expected[1])
    refused = Preprocessor(pipeline, picture_hw=(640, 640), max_pixels=1000).run(photos)
    assert {error.kind for error in refused.errors.values()} == {"too-large"}
    assert len(refused.errors) == BATCH_SIZE


def test_a_file_without_pipeline_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dali.py").write_text("nothing = 1\n")
    with pytest.raises(LaunchError, match="holds 0 @autoserialize pipelines"):
        Pipeline(tmp_path / "dali.py", max_batch_size=1, threads=1)
    with pytest.raises(LaunchError, match="is not a Python file"):
        Pipeline(tmp_path / "missing.py", max_batch_size=1, threads=1)
