from __future__ import annotations

import io
import os
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from sightline import EncodedImage
from sightline.errors import ImageTooLargeError, InvalidOptionError, UnreadableImageError
from sightline.images import check_image_type, read_image_file


@pytest.mark.parametrize("size_hw", [(1, 1), (1, 5), (7, 2), (3, 4), (480, 641)])
def test_arrays_are_encoded_without_loss(size_hw: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), np.uint8)
    image = EncodedImage.from_array(rgb, source="frame 7")
    assert image.source == "frame 7"
    assert (np.asarray(PillowImage.open(io.BytesIO(image.data)).convert("RGB")) == rgb).all()


def test_arrays_may_be_views() -> None:
    bgr = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    rgb = bgr[::2, ::-1, ::-1]
    decoded = PillowImage.open(io.BytesIO(EncodedImage.from_array(rgb).data)).convert("RGB")
    assert (np.asarray(decoded) == rgb).all()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray) -> None:
    with pytest.raises(InvalidOptionError, match=r"uint8 \(height, width, 3\).*came"):
        EncodedImage.from_array(array)


def test_a_bmp_above_4_gib_is_refused() -> None:
    rgb = np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (40_000, 40_000, 3))
    with pytest.raises(InvalidOptionError, match="does not fit into a BMP"):
        EncodedImage.from_array(rgb)


def test_data_must_be_bytes() -> None:
    with pytest.raises(InvalidOptionError, match=r"data is ndarray.*from_array"):
        EncodedImage("x", np.zeros((4, 4, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize("image", ["a.jpg", Path("a.jpg"), b"bytes", EncodedImage("x", b"bytes")])
def test_what_counts_as_an_image(image: object) -> None:
    check_image_type(image)


def test_what_does_not_count_as_an_image() -> None:
    with pytest.raises(InvalidOptionError, match=r"came int$"):
        check_image_type(3)
    with pytest.raises(InvalidOptionError, match=r"came ndarray; for an array of pixels use EncodedImage\.from_array"):
        check_image_type(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("name", ["plain.jpg", "with space.jpg", "new\nline.jpg", "日本語 ñ 🐈.jpg", "-"])
def test_reads_files_of_any_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"content")
    assert read_image_file(path) == read_image_file(str(path)) == b"content"


def test_reads_names_that_are_not_utf_8(tmp_path: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.jpg")
    Path(path).write_bytes(b"content")
    assert read_image_file(path) == b"content"


def test_follows_links_and_reads_empty_files(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "link.jpg").symlink_to("empty.jpg")
    assert read_image_file(tmp_path / "link.jpg") == b""


def test_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
        reasons = {
            "missing.jpg": "No such file or directory",
            "gone.jpg": "No such file or directory",
            "missing/a.jpg": "No such file or directory",
            ".": "directory",
            "pipe.jpg": "it is a pipe",
            "socket.jpg": "No such device or address",
            "nul\0.jpg": "not a possible file name",
            "x" * 300: "File name too long",
        }
        for name, reason in reasons.items():
            with pytest.raises(UnreadableImageError, match=reason):
                read_image_file(f"{tmp_path}/{name}")


@pytest.mark.skipif(not Path("/dev/null").exists(), reason="no devices here")
def test_devices_are_refused() -> None:
    with pytest.raises(UnreadableImageError, match="it is a device"):
        read_image_file("/dev/zero")


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.jpg"
    path.write_bytes(b"content")
    path.chmod(0)
    return path


def test_files_without_permission(secret: Path, bound_by_permissions: None) -> None:
    with pytest.raises(UnreadableImageError, match="Permission denied"):
        read_image_file(secret)


def test_a_limit_on_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(bytes(1001))
    assert len(read_image_file(path, max_bytes=1001)) == 1001
    with pytest.raises(ImageTooLargeError, match="1,001 bytes are above the limit of 1,000"):
        read_image_file(path, max_bytes=1000)


def test_a_sparse_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sparse.jpg"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ImageTooLargeError):
        read_image_file(path)
