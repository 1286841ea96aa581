"""What all requests of a stream know together about a server that has gone."""

from __future__ import annotations

import threading
import time

from sightline.errors import ServerError

_PROBE_SECONDS = 1.0


class Outage:
    """A clock that starts when the connection breaks, for everybody who waits for it.

    While patience lasts, each request waits and tries again. After that, requests fail at once, and once a second one
    of them looks whether the server is back.

    Args:
        patience_seconds: how long to wait for the server, from the first failure.
    """

    def __init__(self, *, patience_seconds: float) -> None:
        self._patience_seconds = patience_seconds
        self._lock = threading.Lock()
        self._error: ServerError | None = None
        self._gives_up_at = 0.0
        self._next_probe_at = 0.0

    def begin(self, error: ServerError) -> None:
        """Note that the server did not answer."""
        with self._lock:
            if self._error is None:
                self._gives_up_at = time.monotonic() + self._patience_seconds
            self._error = error

    def end(self) -> None:
        """Note that it answers."""
        if self._error is not None:
            with self._lock:
                self._error = None

    @property
    def patient(self) -> bool:
        """Whether there is still time to wait."""
        with self._lock:
            return self._error is None or time.monotonic() < self._gives_up_at

    @property
    def final_error(self) -> ServerError | None:
        """What requests fail with at once, now that patience is over; None while it is not."""
        return None if self.patient else self._error

    def claim_probe(self) -> bool:
        """Whether the caller is the one of this second who looks if the server is back."""
        with self._lock:
            now = time.monotonic()
            if now < self._next_probe_at:
                return False
            self._next_probe_at = now + _PROBE_SECONDS
            return True
