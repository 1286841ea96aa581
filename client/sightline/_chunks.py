"""Cuts the caller's images into chunks that travel together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sightline.detections import Source
from sightline.images import EncodedImage, Image, check_image_type

Chunk = list[Source | EncodedImage]


def bytes_held(chunk: Chunk) -> int:
    """Bytes of those images of a chunk that came as bytes."""
    return sum(len(image.data) for image in chunk if isinstance(image, EncodedImage))


class ChunkBuilder:
    """Collects images until there are enough, by number or by the bytes that are held for them.

    Args:
        size: images in a chunk.
        max_bytes: bytes of images that came as bytes; the one that passes the limit is the chunk's last.
    """

    def __init__(self, *, size: int, max_bytes: int) -> None:
        self._size = size
        self._max_bytes = max_bytes
        self._seen = 0
        self._chunk: Chunk = []
        self._bytes = 0

    def add(self, image: Image) -> None:
        """Take one more; bytes get their number in the stream as a name.

        Raises:
            InvalidOptionError: it is not an image.
        """
        check_image_type(image)
        if isinstance(image, bytes):
            image = EncodedImage(f"bytes {self._seen}", image)
        if isinstance(image, EncodedImage):
            self._bytes += len(image.data)
        self._seen += 1
        self._chunk.append(image)

    @property
    def full(self) -> bool:
        """Whether it is time to take the chunk."""
        return len(self._chunk) >= self._size or self._bytes >= self._max_bytes

    @property
    def begun(self) -> bool:
        """Whether there is anything to take."""
        return bool(self._chunk)

    def take(self) -> Chunk:
        """The chunk, and begin the next."""
        chunk, self._chunk, self._bytes = self._chunk, [], 0
        return chunk


class Chunks:
    """Chunks from an iterable, advanced only as they are asked for.

    Attributes:
        ended: whether there are no more.
        error: what the iterable raised, to be raised once the images before it are done.
    """

    def __init__(self, images: Iterable[Image], builder: ChunkBuilder) -> None:
        self._images: Iterator[Image] = iter(images)
        self._builder = builder
        self.ended = False
        self.error: Exception | None = None

    def take(self) -> Chunk:
        """The next chunk; empty at the end."""
        try:
            while not self._builder.full:
                self._builder.add(next(self._images))
        except StopIteration:
            self.ended = True
        except Exception as error:  # noqa: BLE001 - kept, and raised by the stream in its place
            self.ended, self.error = True, error
        return self._builder.take()
