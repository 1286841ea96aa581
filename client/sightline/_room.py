"""How much a client holds in memory and on its way at the same time, whatever the number of images."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

PIXELS_PER_BYTE = 2
"""What an encoded byte counts as: it is there several times over (file, request, both ends of the connection)."""


def room_of(*, pixels: int, size_bytes: int) -> int:
    """Pixels that an image counts as: its own, or its file's length where that is more, as with BMP.

    Args:
        pixels: width x height.
        size_bytes: length of the file.
    """
    return max(pixels, PIXELS_PER_BYTE * size_bytes)


class Room:
    """Pixels to be shared out, first come first served; all streams and calls of a client share one room.

    Args:
        pixels: how many there are. An image that wants more gets all of them, and so is alone.
    """

    def __init__(self, pixels: int) -> None:
        self._changed = threading.Condition()
        self._size = pixels
        self._free = pixels
        self._waiting: deque[object] = deque()

    def try_take(self, pixels: int) -> bool:
        """Take them if they are free and nobody waits; whether that was so."""
        with self._changed:
            return not self._waiting and self._took(pixels)

    def take(self, pixels: int, check: Callable[[], None]) -> None:
        """Wait for them. Whoever holds some already must not wait for more: others may do the same.

        Args:
            pixels: how many.
            check: raises if there is nothing to wait for any more; asked again after `wake`.
        """
        place = object()
        with self._changed:
            self._waiting.append(place)
            try:
                check()
                while self._waiting[0] is not place or not self._took(pixels):
                    self._changed.wait()
                    check()
            finally:
                self._waiting.remove(place)
                self._changed.notify_all()

    def give_back(self, pixels: int) -> None:
        """Free what was taken, by the same number."""
        with self._changed:
            self._free += min(pixels, self._size)
            self._changed.notify_all()

    def wake(self) -> None:
        """Have everybody who waits call its `check`."""
        with self._changed:
            self._changed.notify_all()

    def _took(self, pixels: int) -> bool:
        wanted = min(pixels, self._size)
        if wanted > self._free:
            return False
        self._free -= wanted
        return True
