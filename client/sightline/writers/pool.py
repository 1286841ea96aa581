"""Writing in other threads, so that the stream of results never waits for a disk that keeps up."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType

from sightline.detections import Result
from sightline.errors import OutputError, SightlineError
from sightline.writers.base import Write, Writer
from sightline.writers.jsonl import ErrorLog

DEFAULT_MAX_PENDING = 64
"""Results that may wait to be written; the stream waits when there are more, so that memory stays bounded."""
DEFAULT_THREADS = max(2, min(8, os.cpu_count() or 2))


@dataclass
class _Pending:
    """A result whose writes are under way."""

    result: Result
    writes_left: int
    errors: list[SightlineError] = field(default_factory=list)


class WriterPool:
    """Hands every result to all writers, in threads, and counts what became of each image.

    Images that failed, and those that could not be written, go to the error log. Nothing is lost in silence: what not
    even the error log could take (a full disk) is in `unlogged`.

    Attributes:
        done: images whose results are written completely.
        failed: the others.
        unlogged: lines for people about failures that are not in the error log.
    """

    def __init__(
        self,
        writers: Sequence[Writer],
        *,
        errors: ErrorLog,
        threads: int = DEFAULT_THREADS,
        max_pending: int = DEFAULT_MAX_PENDING,
    ) -> None:
        """Start no thread yet; both numbers are at least 1."""
        self.done = 0
        self.failed = 0
        self.unlogged: list[str] = []
        self._writers = tuple(writers)
        self._errors = errors
        self._in_order = ThreadPoolExecutor(1, thread_name_prefix="sightline-write")
        self._any_order = ThreadPoolExecutor(threads, thread_name_prefix="sightline-write")
        self._places = threading.BoundedSemaphore(max_pending)
        self._lock = threading.Lock()

    def submit(self, result: Result) -> None:
        """Have a result written; waits while too many are pending. To be called by one thread, in order."""
        self._places.acquire()
        writers = self._writers if result.error is None else ()
        pending = _Pending(result, writes_left=len(writers) + 1)
        if result.error is not None:
            pending.errors.append(result.error)
        for writer in writers:
            executor = self._in_order if writer.in_order else self._any_order
            try:
                write = writer.prepare(result)
            except Exception as error:  # noqa: BLE001 (one image that cannot be written stops no other)
                self._finish_one(pending, _ours(error, writer))
            else:
                executor.submit(self._write, pending, writer, write)
        # The submission itself counted as one, so that nothing is finished before all is submitted.
        self._finish_one(pending, None)

    def close(self) -> None:
        """Wait for all writes, then close the writers and the error log; can be called again."""
        self._in_order.shutdown()
        self._any_order.shutdown()
        for writer in self._writers:
            try:
                writer.close()
            except OutputError as error:
                self.unlogged.append(f"{writer.name}: {error}")
        self._writers = ()
        self._errors.close()

    def __enter__(self) -> WriterPool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, pending: _Pending, writer: Writer, write: Write) -> None:
        try:
            write()
        except Exception as error:  # noqa: BLE001 (a thread's border: whatever it is, it must reach the error log)
            self._finish_one(pending, _ours(error, writer))
        else:
            self._finish_one(pending, None)

    def _finish_one(self, pending: _Pending, error: SightlineError | None) -> None:
        with self._lock:
            if error is not None:
                pending.errors.append(error)
            pending.writes_left -= 1
            if pending.writes_left:
                return
            self.failed += bool(pending.errors)
            self.done += not pending.errors
        for each in pending.errors:
            self._log(pending.result, each)
        self._places.release()

    def _log(self, result: Result, error: SightlineError) -> None:
        try:
            self._errors.add(result.source, error)
        except OutputError as failure:
            self.unlogged.append(f"{result.source}: {error} (and {failure})")


def _ours(error: Exception, writer: Writer) -> OutputError:
    if isinstance(error, OutputError):
        return OutputError(f"{writer.name}: {error}")
    return OutputError(f"{writer.name}: {type(error).__name__}: {error}")
