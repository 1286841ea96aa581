"""What `client.Client` does in a loop, awaited: chunks go in as they come, results go out as they are due."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Protocol

from sightline._chunks import Chunk, ChunkBuilder, Chunks
from sightline._stream import Stream
from sightline.detections import Result
from sightline.images import Image

# How long an incomplete chunk waits for the next image of an asynchronous source.
_LINGER_SECONDS = 0.02


class AwaitedChunks(Protocol):
    """`Chunks`, awaited."""

    @property
    def ended(self) -> bool:
        """Whether there are no more."""

    @property
    def error(self) -> Exception | None:
        """What the source raised."""

    async def take(self) -> Chunk:
        """The next chunk; empty at the end."""

    async def close(self) -> None:
        """Stop waiting for the source."""


def open_chunks(images: Iterable[Image] | AsyncIterable[Image], builder: ChunkBuilder) -> AwaitedChunks:
    """Chunks of either kind of source."""
    if isinstance(images, AsyncIterable):
        return _AsyncChunks(images, builder)
    return _ThreadedChunks(Chunks(images, builder))


class AsyncWindow:
    """The chunks of one stream that are on their way, oldest first.

    Args:
        chunks: where they come from.
        stream: where they go.
    """

    def __init__(self, chunks: AwaitedChunks, stream: Stream) -> None:
        self._chunks = chunks
        self._stream = stream
        self._pending: deque[asyncio.Future[list[Result]]] = deque()
        self._taking: asyncio.Task[Chunk] | None = None

    async def next_results(self) -> list[Result] | None:
        """The results of the oldest chunk; None at the end."""
        while True:
            self._refill()
            if self._pending and self._pending[0].done():
                return self._pending.popleft().result()
            waiting: set[asyncio.Future[list[Result]] | asyncio.Task[Chunk]] = set(list(self._pending)[:1])
            if self._taking is not None:
                waiting.add(self._taking)
            if not waiting:
                return None
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)

    async def close(self) -> None:
        """Stop waiting for source and results."""
        for future in (*self._pending, self._taking):
            if future is not None:
                future.cancel()
        await self._chunks.close()

    def _refill(self) -> None:
        if self._taking is not None and self._taking.done():
            taken, self._taking = self._taking, None
            if chunk := taken.result():
                self._pending.append(asyncio.wrap_future(self._stream.submit(chunk)))
        if self._taking is None and not self._chunks.ended and self._stream.wants_more(len(self._pending)):
            self._taking = asyncio.ensure_future(self._chunks.take())


class _ThreadedChunks:
    """Advances a plain iterable in a thread, since it may read a disk."""

    def __init__(self, chunks: Chunks) -> None:
        self._chunks = chunks

    @property
    def ended(self) -> bool:
        return self._chunks.ended

    @property
    def error(self) -> Exception | None:
        return self._chunks.error

    async def take(self) -> Chunk:
        return await asyncio.to_thread(self._chunks.take)

    async def close(self) -> None:
        """A thread that waits for the iterable ends when that gives something."""


class _AsyncChunks:
    def __init__(self, images: AsyncIterable[Image], builder: ChunkBuilder) -> None:
        self._images: AsyncIterator[Image] = aiter(images)
        self._builder = builder
        self._next: asyncio.Future[Image] | None = None
        self.ended = False
        self.error: Exception | None = None

    async def take(self) -> Chunk:
        try:
            while not self._builder.full:
                if self._next is None:
                    self._next = asyncio.ensure_future(anext(self._images))
                # The first image is worth any wait; with some there, the server need not idle.
                done, _ = await asyncio.wait({self._next}, timeout=_LINGER_SECONDS if self._builder.begun else None)
                if not done:
                    break
                came, self._next = self._next, None
                self._builder.add(came.result())
        except StopAsyncIteration:
            self.ended = True
        except Exception as error:  # noqa: BLE001 - kept, and raised by the stream in its place
            self.ended, self.error = True, error
        return self._builder.take()

    async def close(self) -> None:
        if self._next is not None:
            self._next.cancel()
            with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration):
                await self._next
