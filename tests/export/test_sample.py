"""The pictures that an export is compared on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.export.tiny import read_rgb

from sightline.errors import CorruptImageError, InvalidOptionError, SightlineError
from sightline_export.sample import decode_rgb, open_sample


def test_a_sample_is_every_file_of_a_folder(tmp_path: Path) -> None:
    for name in ("b.jpg", "a/c.jpg", ".hidden", ".git/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    sample = open_sample(tmp_path)
    assert list(sample) == ["a/c.jpg", "b.jpg"]
    assert sample["a/c.jpg"] == b"a/c.jpg"
    assert list(sample.only(["b.jpg"])) == ["b.jpg"]
    with pytest.raises(KeyError):
        sample[".hidden"]


@pytest.mark.parametrize(("name", "reason"), [("missing", "is not a folder"), ("empty", "holds no file")])
def test_samples_that_are_none(name: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidOptionError, match=f"{reason}; give .* --sample"):
        open_sample(tmp_path / name)


def test_pictures_are_decoded_as_the_server_does(shared_data: Path) -> None:
    folder = shared_data / "awkward"
    turned = folder / "orientation" / "Portrait_6.jpg"
    np.testing.assert_array_equal(decode_rgb(turned.read_bytes()), read_rgb(turned))
    with pytest.raises(CorruptImageError):
        decode_rgb((folder / "broken" / "truncated_jpeg.jpg").read_bytes())
    with pytest.raises(SightlineError, match="above the limit"):
        decode_rgb((shared_data / "images" / "bus.jpg").read_bytes(), max_pixels=1000)
