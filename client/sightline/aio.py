"""The asyncio client: the same core, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import TypeVar

from sightline._async_window import AsyncWindow, open_chunks
from sightline._core import Core
from sightline._options import DEFAULT_BATCH_SIZE, DEFAULT_URL, ClientOptions, check_count
from sightline.detections import Detections, GroupDetections, Result
from sightline.detector_info import DetectorInfo
from sightline.images import Image

__all__ = ["AsyncClient", "ClientOptions"]

_DETECT_THREADS = 32
_T = TypeVar("_T")


class AsyncClient:
    """`sightline.client.Client` for asyncio: the same arguments, results and errors.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        model: name of the detector or of the group of detectors, as `sightline models` lists it.
        options: deadline, transport, limits, encryption and token.

    Raises:
        InvalidOptionError: the URL is not of that form, the name is empty, or a token would travel unencrypted.

    Example:
        async with AsyncClient("localhost:8001", model="yolov8n") as client:
            async for result in client.stream(paths):
                print(result.source, result.detections, result.error)
    """

    def __init__(self, url: str = DEFAULT_URL, *, model: str, options: ClientOptions | None = None) -> None:
        self._core = Core(url, model=model, options=options or ClientOptions())
        self._threads = ThreadPoolExecutor(_DETECT_THREADS, thread_name_prefix="sightline-detect")

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def info(self) -> DetectorInfo:
        """What the detector tells about itself; see `Client.info`."""
        return (await self._in_thread(self._core.served)).info

    async def members(self) -> Mapping[str, DetectorInfo]:
        """What each member of the group tells about itself; see `Client.members`."""
        return (await self._in_thread(self._core.served)).members

    async def detect(self, image: Image, *, score_threshold: float | None = None) -> Detections:
        """Find objects in one image; see `Client.detect`. Many may be awaited at the same time."""
        return await self._in_thread(partial(self._core.detect, image, score_threshold=score_threshold))

    async def detect_group(self, image: Image, *, score_threshold: float | None = None) -> GroupDetections:
        """Find objects in one image with every member of a group; see `Client.detect_group`."""
        return await self._in_thread(partial(self._core.detect_group, image, score_threshold=score_threshold))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        self._core.check_usable()
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def stream(
        self,
        images: Iterable[Image] | AsyncIterable[Image],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        score_threshold: float | None = None,
    ) -> AsyncIterator[Result]:
        """Find objects in many images, several requests at a time; see `Client.stream`.

        A plain iterable is advanced in a thread, an asynchronous one in the event loop; where the latter lets wait for
        its next image, the incomplete request goes out. Whoever leaves the loop early should close the iterator (its
        `aclose`, or `contextlib.aclosing`), or the client, as with every asynchronous generator.

        Args:
            images: paths, bytes of image files, or `EncodedImage`s.
            batch_size: images in one request, at least 1.
            score_threshold: lowest score of a detection, 0 to 1; the client's own by default.
        """
        threshold = self._core.checked_threshold(score_threshold)
        return self._deliver(images, check_count("batch_size", batch_size), threshold)

    async def close(self) -> None:
        """Cancel what is on its way and disconnect. A closed client cannot be used again."""
        await asyncio.to_thread(self._core.close)
        self._threads.shutdown(wait=False)

    async def _deliver(
        self, images: Iterable[Image] | AsyncIterable[Image], batch_size: int, score_threshold: float
    ) -> AsyncIterator[Result]:
        builder = await asyncio.to_thread(self._core.chunk_builder, batch_size)
        chunks = open_chunks(images, builder)
        stream = await asyncio.to_thread(self._core.open_stream, batch_size=batch_size, score_threshold=score_threshold)
        window = AsyncWindow(chunks, stream)
        try:
            while (results := await window.next_results()) is not None:
                for result in results:
                    yield result
        finally:
            await window.close()
            await asyncio.to_thread(self._core.close_stream, stream)
        if chunks.error is not None:
            raise chunks.error
