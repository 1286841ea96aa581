"""Lets requests through together, or one of them alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """A reader-writer lock with a limit: up to `width` threads are inside together, or a single one alone.

    Args:
        width: threads that may be inside together.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._changed = threading.Condition()
        self._inside = 0
        self._wanting_alone = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Be inside with others; whoever wants to be alone goes first."""
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self._width and not self._wanting_alone)
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be inside with nobody else."""
        with self._changed:
            self._wanting_alone += 1
            try:
                self._changed.wait_for(lambda: self._inside == 0)
            finally:
                self._wanting_alone -= 1
            # Everyone else counts as inside.
            self._inside = self._width
        try:
            yield
        finally:
            self._leave(self._width)

    def _leave(self, places: int = 1) -> None:
        with self._changed:
            self._inside -= places
            self._changed.notify_all()
