"""The images that an export is compared on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from sightline.contract import DEFAULT_MAX_PIXELS
from sightline.errors import CorruptImageError, ImageError, InvalidOptionError
from sightline.headers import check_image

from .pictures import Picture

BUNDLED_FOLDER = Path(__file__).parent / "demo" / "pictures"
"""Drawn pictures that come with the package: objects that a detector of everyday things hardly knows."""


@dataclass(frozen=True)
class SampleFiles(Mapping[str, bytes]):
    """Image files of a folder by name, read when they are asked for.

    Attributes:
        folder: where they are.
        names: paths below it, with `/`.
    """

    folder: Path
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> bytes:
        if name not in self.names:
            raise KeyError(name)
        return (self.folder / name).read_bytes()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def only(self, names: Iterator[str] | tuple[str, ...] | list[str]) -> SampleFiles:
        """Those of these names."""
        return SampleFiles(self.folder, tuple(names))


def open_sample(folder: Path | None) -> SampleFiles:
    """Every file in the folder and below it, sorted by path; hidden ones are left out. None is `BUNDLED_FOLDER`.

    Raises:
        InvalidOptionError: there is no such folder, or no file in it.
    """
    place = BUNDLED_FOLDER if folder is None else folder
    if not place.is_dir():
        raise InvalidOptionError(f"sample {str(place)!r} is not a folder; give one of photos with --sample")
    found = [file.relative_to(place) for file in place.rglob("*") if file.is_file()]
    names = sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
    if not names:
        raise InvalidOptionError(f"sample {str(place)!r} holds no file; give a folder of photos with --sample")
    return SampleFiles(place, tuple(names))


def first_pictures(files: SampleFiles, count: int) -> list[Picture]:
    """The first few that can be decoded."""
    pictures: list[Picture] = []
    for name in files:
        with contextlib.suppress(ImageError):
            pictures.append(decode_rgb(files[name]))
        if len(pictures) == count:
            break
    return pictures


def decode_rgb(data: bytes, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """The picture in an image file, turned as its EXIF says, as the server decodes it.

    Args:
        data: the whole file.
        max_pixels: largest width x height that is decoded.

    Raises:
        ImageError: it is none that the server would decode.
    """
    header = check_image(data, max_pixels=max_pixels)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise CorruptImageError(f"{header.format} cannot be decoded: {error.err or error}") from error
    if picture is None:
        raise CorruptImageError(f"{header.format} of {header.width} x {header.height} pixels cannot be decoded")
    return np.ascontiguousarray(picture[..., ::-1], dtype=np.uint8)
