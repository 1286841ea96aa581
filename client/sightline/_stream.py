"""A bounded number of chunks on their way at once, each with a future for its results."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from sightline._chunks import Chunk
from sightline._courier import Courier
from sightline._gate import Gate
from sightline._worker import Worker
from sightline.detections import Result

# Threads beyond those that wait for the server, so that files are read meanwhile.
_READERS = 2


class Stream:
    """The common core of both faces: they put chunks in, and take results from the futures in the same order.

    Args:
        courier: a connection that is this stream's own, closed with it.
        worker: does the work, through that connection.
        gate: the one that the worker's requests pass.
        in_flight: requests on their way at the same time.

    Attributes:
        window: chunks that may be waiting, on their way, or done and not yet taken.
    """

    def __init__(self, courier: Courier, worker: Worker, *, gate: Gate, in_flight: int) -> None:
        self._courier = courier
        self._worker = worker
        self._gate = gate
        threads = in_flight + _READERS
        # Twice the threads: they go on while the oldest chunk, whose results are due first, takes its time.
        self.window = 2 * threads
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sightline")

    def submit(self, chunk: Chunk) -> Future[list[Result]]:
        """Begin work on a chunk.

        Raises:
            ClientStateError: the stream was closed, such as by closing the client while the source let it wait.
        """
        try:
            return self._threads.submit(self._worker.run, chunk)
        except RuntimeError:
            self._courier.check_open()
            raise

    def close(self) -> None:
        """Cancel everything and wait for the threads to end; futures that are not done get a `ClientStateError`."""
        self._courier.close()
        self._gate.wake()
        self._threads.shutdown(wait=True)
