"""From what the caller gave to bytes that are worth sending."""

from __future__ import annotations

from typing import NamedTuple

from sightline._options import ClientOptions
from sightline.detections import Result, Source
from sightline.errors import ImageError
from sightline.headers import check_image
from sightline.images import EncodedImage, check_size, read_image_file


class Checked(NamedTuple):
    """An image whose header says that it can be decoded: a whole file, and its height and width after EXIF rotation."""

    source: Source
    data: bytes
    size_hw: tuple[int, int]


def load(image: Source | EncodedImage, options: ClientOptions) -> Checked | Result:
    """Read and check one image; a result, with the error, where it cannot be sent."""
    source = image.source if isinstance(image, EncodedImage) else image
    try:
        data = _bytes_of(image, max_bytes=options.max_image_bytes)
        return Checked(source, data, check_image(data, max_pixels=options.max_pixels).image_size_hw)
    except ImageError as error:
        return Result(source, error=error)


def _bytes_of(image: Source | EncodedImage, *, max_bytes: int) -> bytes:
    if not isinstance(image, EncodedImage):
        return read_image_file(image, max_bytes=max_bytes)
    check_size(len(image.data), max_bytes=max_bytes)
    return image.data
