"""How many requests may be on their way: few, and more while the server answers so fast that nobody waits for it."""

from __future__ import annotations

import threading
import time
from types import TracebackType

# A server that needs longer for a request is kept busy by few; more would only wait in its queue, ahead of others'.
_FAST_SECONDS = 0.005
# Weight of the newest answer in the mean.
_NEWEST = 0.2


class Permits:
    """A semaphore whose size follows how long the server takes.

    A request's time divided by the number that were on their way with it is what each of them costs the server. While
    that is short on average, `most` are let through, and wait for 80 milliseconds at the worst where those are 16.

    Args:
        few: let through in any case, at least 1.
        most: while the server is fast, at least `few`.
    """

    def __init__(self, few: int, most: int) -> None:
        self._few = few
        self._most = max(few, most)
        self._changed = threading.Condition(threading.Lock())
        self._inside = 0
        self._seconds_each = float("inf")

    @property
    def most(self) -> int:
        """The largest `limit` that there can be."""
        return self._most

    @property
    def limit(self) -> int:
        """How many are let through now."""
        return self._most if self._seconds_each < _FAST_SECONDS else self._few

    def request(self) -> Permit:
        """To be entered (`with`) by a request, and left when it is answered."""
        return Permit(self)

    def enter(self) -> int:
        """Wait until there is room; the number of those inside, the caller included."""
        with self._changed:
            while self._inside >= self.limit:
                self._changed.wait()
            self._inside += 1
            return self._inside

    def leave(self, seconds: float, inside: int) -> None:
        """Make room.

        Args:
            seconds: from entering on.
            inside: what `enter` gave.
        """
        each = seconds / inside
        with self._changed:
            self._inside -= 1
            before, known = self.limit, self._seconds_each
            self._seconds_each = each if known == float("inf") else (1 - _NEWEST) * known + _NEWEST * each
            self._changed.notify(1 + max(0, self.limit - before))


class Permit:
    """One request's, as a context manager."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._inside = 0
        self._begun = 0.0

    def __enter__(self) -> None:
        self._inside = self._permits.enter()
        self._begun = time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._permits.leave(time.perf_counter() - self._begun, self._inside)
