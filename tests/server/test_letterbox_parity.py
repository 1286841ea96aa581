"""The letterbox against OpenCV with the rounding of Ultralytics, for both pipelines that `dali.py` holds."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from tests.server.letterbox_reference import Image, encode, largest_difference, picture, reference

from sightline.headers import inspect_header
from sightline.preprocessing import Preprocessing
from sightline_export.preprocessing import render_dali

pytest.importorskip("nvidia.dali")
from sightline_server.pipeline import Pipeline

BATCH_SIZE = 8
# Height x width. 853 and the like are rounding ties at 640.
SIZES = [
    (640, 640), (480, 640), (640, 480), (427, 640), (426, 640), (425, 640), (333, 500), (375, 500), (500, 353),
    (853, 1280), (1280, 853), (851, 1280), (855, 1280), (857, 1280), (1280, 857), (849, 1280), (847, 1280), (413, 1280),
    (1067, 1600), (683, 1024), (1024, 683), (1365, 2048), (720, 1280), (1080, 1920), (1920, 1080), (1079, 1921),
    (639, 640), (640, 639), (641, 640), (640, 641), (637, 640), (638, 640), (1, 640), (640, 1), (1, 1), (1, 2), (2, 1),
    (3, 2), (1, 641), (641, 1), (1, 1281), (1, 4000), (4000, 1), (2, 2561), (3, 3840), (17, 3001), (3001, 17),
    (100, 3000), (3000, 100), (31, 33), (64, 48), (100, 100), (200, 150), (319, 321), (320, 320), (12, 640), (13, 637),
    (599, 601), (1279, 1279), (1281, 1277), (1500, 999), (2000, 1500), (3000, 4000), (777, 3111), (128, 96), (5, 7),
]  # fmt: skip


@pytest.fixture(scope="module")
def make_pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Pipeline]]:
    made: dict[Any, Pipeline] = {}

    def make(*, image_size: int = 640, with_opencv: bool) -> Pipeline:
        key = image_size, with_opencv
        if key not in made:
            file = tmp_path_factory.mktemp("letterbox") / "dali.py"
            file.write_text(render_dali(Preprocessing.letterbox(image_size)))
            made[key] = Pipeline(file, max_batch_size=BATCH_SIZE, threads=2, with_opencv=with_opencv)
            assert made[key].uses_opencv == with_opencv
        return made[key]

    yield make
    made.clear()


def differences(pipeline: Pipeline, files: list[bytes], image_size: int = 640) -> list[int]:
    """Largest difference from the reference, per file; checks shapes on the way."""
    found = []
    for start in range(0, len(files), BATCH_SIZE):
        batch = files[start : start + BATCH_SIZE]
        pictures = pipeline.run(batch)
        assert pictures.images.shape == (len(batch), image_size, image_size, 3)
        assert pictures.images.dtype == np.uint8
        assert pictures.original_shapes.dtype == np.int64
        for data, image in zip(batch, pictures.images, strict=True):
            found.append(largest_difference(image, expected(data, image_size)))
    return found


def expected(data: bytes, image_size: int) -> Image:
    image = reference(data, image_size)
    assert image is not None
    return image


# OpenCV's own resize leaves nothing of the difference.
PIPELINES = pytest.mark.parametrize(("with_opencv", "allowed"), [(False, 1), (True, 0)], ids=["dali", "opencv"])


@PIPELINES
def test_sizes(make_pipeline: Callable[..., Pipeline], with_opencv: bool, allowed: int) -> None:
    assert len(set(SIZES)) >= 60
    files = [encode(".jpg", picture(height=h, width=w, seed=i)) for i, (h, w) in enumerate(SIZES)]
    found = differences(make_pipeline(with_opencv=with_opencv), files)
    assert dict(zip(SIZES, found, strict=True)) == {
        size: d for size, d in zip(SIZES, found, strict=True) if d <= allowed
    }


@PIPELINES
@pytest.mark.parametrize("extension", [".png", ".webp", ".bmp", ".tiff", ".ppm"])
def test_formats(make_pipeline: Callable[..., Pipeline], extension: str, with_opencv: bool, allowed: int) -> None:
    sizes = [(480, 640), (427, 640), (1, 641), (641, 1), (37, 21), (853, 160)]
    files = [encode(extension, picture(height=h, width=w, seed=h)) for h, w in sizes]
    assert max(differences(make_pipeline(with_opencv=with_opencv), files)) <= allowed


@PIPELINES
@pytest.mark.parametrize("image_size", [320, 1280, 1920])
def test_input_sizes(make_pipeline: Callable[..., Pipeline], image_size: int, with_opencv: bool, allowed: int) -> None:
    sizes = [(853, 1280), (427, 640), (480, 640), (1, 641), (1067, 1600), (2000, 1501)]
    files = [encode(".jpg", picture(height=h, width=w, seed=w)) for h, w in sizes]
    found = differences(make_pipeline(image_size=image_size, with_opencv=with_opencv), files, image_size)
    assert max(found) <= allowed


@PIPELINES
def test_exif_orientations(
    make_pipeline: Callable[..., Pipeline], shared_data: Path, with_opencv: bool, allowed: int
) -> None:
    paths = sorted(path for path in (shared_data / "awkward" / "orientation").iterdir())
    assert len(paths) >= 14
    assert max(differences(make_pipeline(with_opencv=with_opencv), [path.read_bytes() for path in paths])) <= allowed


@pytest.mark.parametrize("pillow_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@PIPELINES
def test_header_decoder_and_opencv_agree_on_orientations(
    make_pipeline: Callable[..., Pipeline], pillow_format: str, with_opencv: bool, allowed: int
) -> None:
    files = [oriented(pillow_format, orientation) for orientation in range(1, 9)]
    sizes_hw = [(30, 50)] * 4 + [(50, 30)] * 4
    assert [inspect_header(data).orientation for data in files] == list(range(1, 9))
    assert [inspect_header(data).image_size_hw for data in files] == sizes_hw
    pipeline = make_pipeline(with_opencv=with_opencv)
    assert pipeline.run(files).original_shapes.tolist() == [[*size_hw, 3] for size_hw in sizes_hw]
    assert max(differences(pipeline, files)) <= allowed


def oriented(pillow_format: str, orientation: int) -> bytes:
    """A file of 50 x 30 stored pixels."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    PIL.Image.fromarray(picture(height=30, width=50)).save(file, pillow_format, exif=exif)
    return file.getvalue()


@PIPELINES
def test_photos(make_pipeline: Callable[..., Pipeline], shared_data: Path, with_opencv: bool, allowed: int) -> None:
    paths = sorted((shared_data / "coco" / "images").glob("*.jpg"))
    assert len(paths) == 100
    assert max(differences(make_pipeline(with_opencv=with_opencv), [path.read_bytes() for path in paths])) <= allowed


def test_original_shape_is_after_rotation(make_pipeline: Callable[..., Pipeline], shared_data: Path) -> None:
    folder = shared_data / "awkward" / "orientation"
    for name, shape in {"Landscape_6.jpg": [1200, 1800, 3], "Portrait_6.jpg": [1800, 1200, 3]}.items():
        for with_opencv in (False, True):
            pictures = make_pipeline(with_opencv=with_opencv).run([(folder / name).read_bytes()])
            assert pictures.original_shapes.tolist() == [shape]


@PIPELINES
def test_zero_padding_and_neighbours_change_nothing(
    make_pipeline: Callable[..., Pipeline], with_opencv: bool, allowed: int
) -> None:
    pipeline = make_pipeline(with_opencv=with_opencv)
    files = [encode(extension, picture(height=100, width=150)) for extension in (".jpg", ".png", ".webp", ".bmp")]
    alone = [pipeline.run([data]).images[0].copy() for data in files]
    padded = pipeline.run([data + bytes(10_000) for data in files]).images
    assert all(largest_difference(one, other) == 0 for one, other in zip(alone, padded, strict=True))


def test_target_size_rounds_half_to_even(tmp_path: Path) -> None:
    """The arithmetic itself, for many more sizes than can be decoded."""
    from nvidia.dali import fn, pipeline_def, types

    from sightline_server.pipeline import load_model_file

    (tmp_path / "dali.py").write_text(render_dali(Preprocessing.letterbox(640)))
    module = load_model_file(tmp_path / "dali.py")

    def sizes() -> Any:
        return module.target_size(fn.external_source(name="shapes", dtype=types.INT64, ndim=1))

    pipeline = pipeline_def(batch_size=4096, num_threads=2, device_id=None, prefetch_queue_depth=1)(sizes)()
    pipeline.build()
    random = np.random.default_rng(7)
    ties = [(height, 1280, 3) for height in range(1, 1280)]
    shapes = np.array(ties + random.integers(1, 5000, (4096 - len(ties), 3)).tolist(), np.int64)
    (found,) = pipeline.run(shapes=list(shapes))
    expected_sizes = []
    for height, width, _ in shapes.tolist():
        scale = min(640 / height, 640 / width)
        expected_sizes.append([max(round(height * scale), 1), max(round(width * scale), 1)])
    assert np.asarray(found.as_tensor()).tolist() == expected_sizes
