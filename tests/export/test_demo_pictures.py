"""The committed sample pictures are the ones that the committed code draws."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from sightline_export.demo.pictures import FOLDER, SAMPLE_PICTURES, with_orientation
from sightline_export.demo.samples import decode_rgb, encode_jpeg


def test_the_folder_holds_exactly_the_samples() -> None:
    files = {path.name for path in FOLDER.iterdir()}
    assert files == {f"{name}.jpg" for name in SAMPLE_PICTURES}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_500_000


@pytest.mark.parametrize("name", SAMPLE_PICTURES)
def test_the_committed_picture_is_what_is_drawn(name: str) -> None:
    scene = SAMPLE_PICTURES[name].draw()
    stored = decode_rgb((FOLDER / f"{name}.jpg").read_bytes())
    assert stored.shape == scene.picture.shape
    assert len(scene.boxes_xyxy) >= 4
    # JPEG at quality 88 moves single pixels (grain, thin coloured lines) but hardly the average.
    assert np.abs(stored.astype(int) - scene.picture).mean() < 4


def test_sizes_vary_and_one_picture_lies_on_its_side() -> None:
    sizes = {Image.open(FOLDER / f"{name}.jpg").size for name in SAMPLE_PICTURES}
    turned = [name for name in SAMPLE_PICTURES if Image.open(FOLDER / f"{name}.jpg").getexif().get(0x0112) == 6]
    assert len(sizes) >= 8
    assert (853, 1280) in sizes
    assert turned == [name for name, sample in SAMPLE_PICTURES.items() if sample.turned]
    assert len(turned) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_read_by_others(orientation: int) -> None:
    picture = np.zeros((16, 32, 3), np.uint8)
    picture[:8] = 200
    jpeg = with_orientation(encode_jpeg(picture), orientation)
    image = Image.open(io.BytesIO(jpeg))
    assert image.getexif()[0x0112] == orientation
    upright = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    assert np.abs(upright - decode_rgb(jpeg)).max() <= 2


def test_orientation_outside_exif_is_refused() -> None:
    with pytest.raises(ValueError, match="orientation is 9; EXIF knows 1 to 8"):
        with_orientation(b"\xff\xd8", 9)
