"""A bounded number of chunks on their way at once, each with a future for its results."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor

from sightline._chunks import Chunk, bytes_held
from sightline._courier import Courier
from sightline._permits import Permits
from sightline._worker import Worker
from sightline.detections import Result

# Threads beyond those that wait for the server, so that files are read meanwhile.
_READERS = 2


class Stream:
    """The common core of both faces: they put chunks in, and take results from the futures in the same order.

    Args:
        courier: a connection that is this stream's own, closed with it.
        worker: does the work, through that connection.
        permits: how many requests may be on their way.
        max_bytes: bytes of images that came as bytes, of all chunks together, above which no further one is wanted.
    """

    def __init__(self, courier: Courier, worker: Worker, *, permits: Permits, max_bytes: int) -> None:
        self._courier = courier
        self._worker = worker
        self._permits = permits
        self._max_bytes = max_bytes
        self._held_bytes = 0
        self._lock = threading.Lock()
        # Where images of many chunks fill a request together, all of the window is read, and waits.
        threads = _window(permits.most) if worker.gathers else permits.most + _READERS
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sightline")

    def submit(self, chunk: Chunk) -> Future[list[Result]]:
        """Begin work on a chunk.

        Raises:
            ClientStateError: the stream was closed, such as by closing the client while the source let it wait.
        """
        size_bytes = bytes_held(chunk)
        try:
            future = self._threads.submit(self._worker.run, chunk)
        except RuntimeError:
            self._courier.check_open()
            raise
        self._hold(size_bytes)
        future.add_done_callback(lambda _: self._hold(-size_bytes))
        return future

    def wants_more(self, pending: int) -> bool:
        """Whether to put in another chunk while so many are waiting, on their way, or done and not yet taken."""
        return not pending or (pending < _window(self._permits.limit) and self._held_bytes < self._max_bytes)

    def close(self) -> None:
        """Cancel everything and wait for the threads to end; futures that are not done get a `ClientStateError`."""
        self._courier.close()
        self._worker.wake()
        self._threads.shutdown(wait=True)
        self._worker.close()

    def _hold(self, size_bytes: int) -> None:
        with self._lock:
            self._held_bytes += size_bytes


def _window(in_flight: int) -> int:
    """Chunks: twice those at work, which go on while the oldest, whose results are due first, takes its time."""
    return 2 * (in_flight + _READERS)
