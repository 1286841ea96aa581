"""A client's images are bounded by pixels: in a request, and all together."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from sightline import ClientOptions, EncodedImage, Result
from sightline._loading import Checked, Loader
from sightline._room import Room, room_of
from sightline.errors import ClientStateError, UnreadableImageError


def grey(height: int, width: int) -> EncodedImage:
    return EncodedImage.from_array(np.full((height, width, 3), 90, np.uint8), source=f"{width} x {height}")


def nothing() -> None:
    """An open client."""


def sizes(batches: list[list[Checked | Result]]) -> list[int]:
    return [len(batch) for batch in batches]


def test_what_an_image_counts_as() -> None:
    assert room_of(pixels=100, size_bytes=49) == 100
    assert room_of(pixels=100, size_bytes=300) == 600


def test_room_is_shared_out_first_come_first_served() -> None:
    room = Room(100)
    assert room.try_take(60)
    assert not room.try_take(41)
    order: list[str] = []

    def take(name: str, pixels: int) -> None:
        room.take(pixels, nothing)
        order.append(name)

    large = threading.Thread(target=take, args=("large", 10_000))
    large.start()
    while room.try_take(1):
        room.give_back(1)
    # It waits, so nobody overtakes it, however little they want.
    assert not room.try_take(1)
    room.give_back(60)
    large.join(10)
    assert order == ["large"]
    assert not room.try_take(1)
    room.give_back(10_000)
    assert room.try_take(100)


def test_whoever_waits_for_room_hears_that_the_client_is_closed() -> None:
    room, closed, failed = Room(10), threading.Event(), threading.Event()
    assert room.try_take(10)

    def check() -> None:
        if closed.is_set():
            raise ClientStateError("closed")

    def wait() -> None:
        with pytest.raises(ClientStateError):
            room.take(1, check)
        failed.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    closed.set()
    while waiting.is_alive():
        room.wake()
        waiting.join(0.01)
    assert failed.is_set()
    room.give_back(10)
    assert room.try_take(10)


def test_requests_are_bounded_by_pixels_and_by_bytes() -> None:
    images = [grey(10, 10)] * 7
    room = Room(10_000)
    by_pixels = Loader(ClientOptions(batch_pixels=300), room=room, check_open=nothing)
    assert sizes([list(batch) for batch in by_pixels.batches(list(images))]) == [3, 3, 1]
    by_bytes = Loader(ClientOptions(batch_bytes=2 * len(images[0].data)), room=room, check_open=nothing)
    assert sizes([list(batch) for batch in by_bytes.batches(list(images))]) == [2, 2, 2, 1]
    one_too_large = Loader(ClientOptions(batch_pixels=99), room=room, check_open=nothing)
    assert sizes([list(batch) for batch in one_too_large.batches(list(images))]) == [1] * 7


def test_a_request_never_waits_for_room_that_it_holds_itself() -> None:
    image = grey(10, 10)
    room = Room(2 * room_of(pixels=100, size_bytes=len(image.data)))
    loader = Loader(ClientOptions(), room=room, check_open=nothing)
    batches = loader.batches([image] * 5)
    assert len(next(batches)) == 2
    assert not room.try_take(1)
    batches.close()
    assert room.try_take(10_000)


def test_a_long_file_is_read_only_when_there_is_room(tmp_path: Path) -> None:
    long = tmp_path / "long.bmp"
    long.write_bytes(grey(1200, 1200).data)
    room = Room(100)
    loader = Loader(ClientOptions(), room=room, check_open=nothing)
    assert room.try_take(100)
    batches = loader.batches([grey(1, 1), long, tmp_path / "missing.jpg"])
    # Nobody has room to give; what has been begun is sent first, and here that is nothing.
    assert next(batches) == []
    long.unlink()
    room.give_back(100)
    rest = [image for batch in batches for image in list(batch)]
    assert isinstance(rest[0], Checked)
    assert [type(image.error) for image in rest[1:] if isinstance(image, Result)] == [UnreadableImageError] * 2
    assert room.try_take(100)
