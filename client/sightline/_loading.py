"""From what the caller gave to bytes that are worth sending, no more of them at a time than there is room for."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple

from sightline._chunks import Chunk
from sightline._options import ClientOptions
from sightline._room import Room, room_of
from sightline.detections import Result, Source
from sightline.errors import ImageError
from sightline.headers import check_image, inspect_header
from sightline.images import EncodedImage, check_size, peek_image_file, read_image_file

# A shorter file is read at once; of a longer one only so much, before there is room for the rest.
_PEEKED_BYTES = 256 * 1024


class Checked(NamedTuple):
    """An image whose header says that it can be decoded: a whole file, and its height and width after EXIF rotation."""

    source: Source
    data: bytes
    size_hw: tuple[int, int]


class Seen(NamedTuple):
    """An image that may be sent, as far as it has been looked at.

    Attributes:
        source: its name.
        data: the whole file; None where it is long and still to be read.
        size_bytes: length of the file.
        pixels: width x height as the header says; 0 where that does not stand at the beginning.
    """

    source: Source
    data: bytes | None
    size_bytes: int
    pixels: int

    @property
    def room(self) -> int:
        """Pixels that it counts as."""
        return room_of(pixels=self.pixels, size_bytes=self.size_bytes)


def look(image: Source | EncodedImage, *, max_bytes: int) -> Seen | Result:
    """Find out how large an image is; a result, with the error, where that already shows that it is bad."""
    if isinstance(image, EncodedImage):
        return Seen(image.source, image.data, len(image.data), _pixels(image.data))
    try:
        beginning, size_bytes = peek_image_file(image, bytes_wanted=_PEEKED_BYTES, max_bytes=max_bytes)
    except ImageError as error:
        return Result(image, error=error)
    whole = beginning if len(beginning) < _PEEKED_BYTES else None
    return Seen(image, whole, max(size_bytes, len(beginning)), _pixels(beginning))


def load(seen: Seen, options: ClientOptions) -> Checked | Result:
    """Read the rest and check it; a result, with the error, where it cannot be sent."""
    try:
        data = seen.data
        if data is None:
            data = read_image_file(seen.source, max_bytes=options.max_image_bytes)
        check_size(len(data), max_bytes=options.max_image_bytes)
        return Checked(seen.source, data, check_image(data, max_pixels=options.max_pixels).image_size_hw)
    except ImageError as error:
        return Result(seen.source, error=error)


@dataclass
class _Batch:
    """Images that go into one request, and those among them that failed before."""

    images: list[Checked | Result] = field(default_factory=list)
    count: int = 0
    longest: int = 0
    pixels: int = 0
    room: int = 0

    def takes(self, seen: Seen, options: ClientOptions) -> bool:
        """Whether another fits into the request."""
        # Every image takes as much room as the longest of its request.
        size_bytes = max(self.longest, seen.size_bytes) * (self.count + 1)
        return not self.count or (
            size_bytes <= options.batch_bytes and self.pixels + seen.pixels <= options.batch_pixels
        )

    def add(self, seen: Seen) -> None:
        """Count it."""
        self.count += 1
        self.longest = max(self.longest, seen.size_bytes)
        self.pixels += seen.pixels
        self.room += seen.room


class Loader:
    """Reads the images of a client's chunks.

    Args:
        options: limits.
        room: the one that all of the client's images share.
        check_open: raises if nothing is to be read any more.
    """

    def __init__(self, options: ClientOptions, *, room: Room, check_open: Callable[[], None]) -> None:
        self._options = options
        self._room = room
        self._check_open = check_open

    def batches(self, images: Chunk) -> Generator[list[Checked | Result], None, None]:
        """The images in order, so many at a time as fit into one request; a result for each that cannot be sent.

        They have room until the next batch is asked for, or the iterator closed.

        Raises:
            ClientStateError: the client was closed meanwhile.
        """
        batch = _Batch()
        try:
            for image in images:
                self._check_open()
                seen = look(image, max_bytes=self._options.max_image_bytes)
                if isinstance(seen, Result):
                    batch.images.append(seen)
                    continue
                if not (batch.takes(seen, self._options) and self._room.try_take(seen.room)):
                    # Nobody waits for room while holding some: all could then wait for each other.
                    yield batch.images
                    batch.images.clear()  # whoever was given them may still hold the list
                    self._room.give_back(batch.room)
                    batch = _Batch()
                    self._room.take(seen.room, self._check_open)
                batch.add(seen)
                batch.images.append(load(seen, self._options))
            yield batch.images
        finally:
            self._room.give_back(batch.room)


def _pixels(beginning: bytes) -> int:
    try:
        return inspect_header(beginning).pixels
    except ImageError:
        # Some formats tell their size at the end of the file, and what is wrong with an image is for `load` to say.
        return 0
