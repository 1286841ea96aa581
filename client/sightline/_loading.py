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

# A shorter file is read at once, a longer one when there is room for it.
_SHORT_BYTES = 4 * 1024 * 1024


class Checked(NamedTuple):
    """An image whose header says that it can be decoded: a whole file, and its height and width after EXIF rotation."""

    source: Source
    data: bytes
    size_hw: tuple[int, int]

    @property
    def size_bytes(self) -> int:
        """Length of the file."""
        return len(self.data)

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.size_hw[0] * self.size_hw[1]

    @property
    def faintest(self) -> float:
        """Of the score that is wanted: what it is asked for, which is just that."""
        return 1.0


class Seen(NamedTuple):
    """A long file, of which only the beginning was read.

    Attributes:
        source: its path.
        size_bytes: its length.
        pixels: width x height as the header says; 0 where that does not stand at the beginning.
    """

    source: Source
    size_bytes: int
    pixels: int


def look(image: Source | EncodedImage, options: ClientOptions) -> Checked | Seen | Result:
    """Find out how large an image is; a result, with the error, where that already shows that it cannot be sent."""
    if isinstance(image, EncodedImage):
        return _checked(image.source, image.data, options)
    try:
        limit = options.max_image_bytes
        beginning, size_bytes = peek_image_file(image, short_bytes=_SHORT_BYTES, max_bytes=limit)
    except ImageError as error:
        return Result(image, error=error)
    if len(beginning) >= size_bytes:
        return _checked(image, beginning, options)
    try:
        return Seen(image, size_bytes, inspect_header(beginning).pixels)
    except ImageError:
        # Some formats tell their size at the end of the file, and what is wrong with an image is for `load` to say.
        return Seen(image, size_bytes, 0)


def load(seen: Seen, options: ClientOptions) -> Checked | Result:
    """Read a long file and check it; a result, with the error, where it cannot be sent."""
    try:
        data = read_image_file(seen.source, max_bytes=options.max_image_bytes)
    except ImageError as error:
        return Result(seen.source, error=error)
    return _checked(seen.source, data, options)


def _checked(source: Source, data: bytes, options: ClientOptions) -> Checked | Result:
    try:
        check_size(len(data), max_bytes=options.max_image_bytes)
        return Checked(source, data, check_image(data, max_pixels=options.max_pixels).image_size_hw)
    except ImageError as error:
        return Result(source, error=error)


@dataclass
class _Batch:
    """Images that go into one request, and those among them that failed before."""

    images: list[Checked | Result] = field(default_factory=list)
    count: int = 0
    longest: int = 0
    pixels: int = 0
    room: int = 0

    def takes(self, seen: Checked | Seen, options: ClientOptions) -> bool:
        """Whether another fits into the request."""
        # Every image takes as much room as the longest of its request.
        size_bytes = max(self.longest, seen.size_bytes) * (self.count + 1)
        return not self.count or (
            size_bytes <= options.batch_bytes and self.pixels + seen.pixels <= options.batch_pixels
        )

    def add(self, seen: Checked | Seen, room: int) -> None:
        """Count it."""
        self.count += 1
        self.longest = max(self.longest, seen.size_bytes)
        self.pixels += seen.pixels
        self.room += room


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
                seen = look(image, self._options)
                if isinstance(seen, Result):
                    batch.images.append(seen)
                    continue
                room = room_of(pixels=seen.pixels, size_bytes=seen.size_bytes)
                if not (batch.takes(seen, self._options) and self._room.try_take(room)):
                    # Nobody waits for room while holding some: all could then wait for each other.
                    yield batch.images
                    batch.images.clear()  # whoever was given them may still hold the list
                    self._room.give_back(batch.room)
                    batch = _Batch()
                    self._room.take(room, self._check_open)
                batch.add(seen, room)
                batch.images.append(seen if isinstance(seen, Checked) else load(seen, self._options))
            yield batch.images
        finally:
            self._room.give_back(batch.room)
