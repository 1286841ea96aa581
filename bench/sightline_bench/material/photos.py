"""The pictures of a run: evenly chosen from what is given, or brought to one size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.material.workshop import Workshop, versions_of

SUFFIXES = (".jpg", ".jpeg", ".png")
_JPEG_QUALITY = 90


def find_images(folder: Path) -> tuple[Path, ...]:
    """The pictures of a folder, by name.

    Raises:
        InvalidOptionError: there are none.
    """
    found = tuple(sorted(file.resolve() for file in folder.iterdir() if file.suffix.lower() in SUFFIXES))
    if not found:
        raise InvalidOptionError(f"no pictures ({', '.join(SUFFIXES)}) in {folder}; give a folder of photos")
    return found


def _choose(images: Sequence[Path], count: int) -> list[Path]:
    if len(images) <= count:
        return list(islice(cycle(images), count))
    return [images[index * len(images) // count] for index in range(count)]


@dataclass(frozen=True)
class Photos:
    """What a program goes over.

    Attributes:
        listing: a text file with a path in each line, as the scripts take it.
        count: of those paths.
    """

    listing: Path
    count: int


def take(workshop: Workshop, images: Sequence[Path], count: int) -> Photos:
    """So many of these pictures, evenly spread; where there are fewer, each of them again and again."""
    text = "".join(f"{image}\n" for image in _choose(images, count))
    file = workshop.folder / "listings" / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return Photos(file, count)


def photos_of_size(workshop: Workshop, images: Sequence[Path], count: int, *, size_hw: tuple[int, int]) -> list[Path]:
    """At most `count` JPEGs of that size made of pictures: scaled until they cover it, and cut around their middle.

    Raises:
        MeasurementError: a picture cannot be read.
    """
    chosen = _choose(images, min(count, len(images)))
    height, width = size_hw

    def make(place: Path) -> None:
        for index, image in enumerate(chosen):
            _bring_to_size(image, place / f"{index:04}.jpg", size_hw)

    made_of = [*map(str, chosen), str(size_hw), versions_of("opencv-python-headless")]
    place = workshop.once(f"photos-{width}x{height}-{len(chosen)}", of=made_of, make=make)
    return sorted(place.glob("*.jpg"))


def _bring_to_size(source: Path, target: Path, size_hw: tuple[int, int]) -> None:
    import cv2

    image = cv2.imread(str(source))
    if image is None:
        raise MeasurementError(f"OpenCV cannot read {source}: leave it out of the folder of images")
    height, width = size_hw
    scale = max(height / image.shape[0], width / image.shape[1])
    larger = (max(width, round(image.shape[1] * scale)), max(height, round(image.shape[0] * scale)))
    image = cv2.resize(image, larger, interpolation=cv2.INTER_CUBIC if scale > 1 else cv2.INTER_AREA)
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    cut = image[top : top + height, left : left + width]
    cv2.imwrite(str(target), cut, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
