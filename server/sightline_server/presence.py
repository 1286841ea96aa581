"""Who computes at this moment, among all network instances of a run: processes that know nothing else of each other.

A file in the run's folder has a byte for each instance, 1 while it computes; all of them map it, so that telling and
asking are plain memory accesses. Each holds a lock on its byte for as long as it lives: the system releases it however
the process ends, and the byte of one that ended while it computed no longer counts.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sightline.errors import LaunchError

_FILE_NAME = "computing"
_PLACES = 1024
_BUSY, _IDLE = 1, 0
# `struct flock` of fcntl(2): type, whence, start, length, process.
_LOCK = "hhqqi0q"


class Presence:
    """One instance's byte, taken for as long as the object and the process live.

    Args:
        run_folder: the run's private folder.

    Raises:
        LaunchError: there are more instances than bytes.
    """

    def __init__(self, run_folder: Path) -> None:
        self._descriptor = os.open(run_folder / _FILE_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, _PLACES)
        self._bytes = mmap.mmap(self._descriptor, _PLACES)
        self._place = self._take_place()
        self._bytes[self._place] = _IDLE

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Tell the others, until the block ends."""
        self._bytes[self._place] = _BUSY
        try:
            yield
        finally:
            self._bytes[self._place] = _IDLE

    def alone(self) -> bool:
        """Whether no other instance computes. Two that begin at once may both hear no, or both yes."""
        busy = self._bytes[:]
        place = busy.find(_BUSY)
        while place >= 0:
            if place != self._place:
                if self._is_taken(place):
                    return False
                self._bytes[place] = _IDLE  # it ended while it computed
            place = busy.find(_BUSY, place + 1)
        return True

    def _take_place(self) -> int:
        for place in range(_PLACES):
            try:
                fcntl.fcntl(self._descriptor, fcntl.F_OFD_SETLK, _lock(place))
            except (BlockingIOError, PermissionError):  # which of the two, POSIX leaves open
                continue
            return place
        raise LaunchError(f"more than {_PLACES} instances of networks in one server: load fewer models")

    def _is_taken(self, place: int) -> bool:
        found = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, _lock(place))
        return bool(struct.unpack(_LOCK, found)[0] != fcntl.F_UNLCK)


def _lock(place: int) -> bytes:
    """One byte, for this opening of the file alone, whichever process has it."""
    return struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
