"""Lets the requests of a client through together, or one of them alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_REMEMBERED_SECONDS = 10.0


class Gate:
    """A reader-writer lock: any number of threads are inside together, or a single one alone.

    All streams and calls of a client share one, since the server puts their images into the same batches. It also
    remembers whether images of other clients, which it cannot hold back, were seen to disturb those that were alone.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._wanting_alone = 0
        self._one_is_alone = False
        self._disturbed_at = float("-inf")

    @contextmanager
    def together(self, check: Callable[[], None]) -> Iterator[None]:
        """Be inside with others; whoever wants to be alone goes first.

        Args:
            check: raises if there is nothing to wait for any more; asked again after `wake`.
        """
        with self._changed:
            self._wait(lambda: not self._one_is_alone and not self._wanting_alone, check)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, check: Callable[[], None]) -> Iterator[None]:
        """Be inside with nobody else; `check` as in `together`."""
        with self._changed:
            self._wanting_alone += 1
            try:
                self._wait(lambda: self._inside == 0 and not self._one_is_alone, check)
                self._one_is_alone = True
            finally:
                self._wanting_alone -= 1
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._one_is_alone = False
                self._changed.notify_all()

    def wake(self) -> None:
        """Have everybody who waits call its `check`."""
        with self._changed:
            self._changed.notify_all()

    def note_disturbance(self) -> None:
        """Remember that a good image failed although it was alone."""
        self._disturbed_at = time.monotonic()

    @property
    def disturbed(self) -> bool:
        """Whether that happened lately."""
        return time.monotonic() - self._disturbed_at < _REMEMBERED_SECONDS

    def _wait(self, free: Callable[[], bool], check: Callable[[], None]) -> None:
        check()
        while not free():
            self._changed.wait()
            check()
