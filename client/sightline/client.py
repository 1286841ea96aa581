"""The blocking client."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from types import TracebackType

from sightline._chunks import Chunks
from sightline._core import Core
from sightline._options import DEFAULT_BATCH_SIZE, DEFAULT_URL, ClientOptions, check_count
from sightline.detections import Detections, GroupDetections, Result
from sightline.detector_info import DetectorInfo
from sightline.images import Image

__all__ = ["Client", "ClientOptions"]


class Client:
    """Finds objects through a Triton server. Nothing is sent before the first call; threads may share a client.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        model: name of the detector or of the group of detectors, as `sightline models` lists it.
        options: deadline, transport, limits, encryption and token.

    Raises:
        InvalidOptionError: the URL is not of that form, the name is empty, or a token would travel unencrypted.

    Example:
        with Client("localhost:8001", model="yolov8n") as client:
            for result in client.stream(paths, batch_size=8):
                print(result.source, result.detections, result.error)
    """

    def __init__(self, url: str = DEFAULT_URL, *, model: str, options: ClientOptions | None = None) -> None:
        self._core = Core(url, model=model, options=options or ClientOptions())

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def info(self) -> DetectorInfo:
        """What the detector tells about itself: classes, input size, precision, where it comes from.

        Raises:
            ModelNotFoundError: the server has no such model, or it is not ready.
            InvalidOptionError: the model is a group: see `members`.
            ContractMismatchError: the model is not a Sightline detector.
            ServerError: no answer.
            ClientStateError: the client is closed, or this is a forked process.
        """
        return self._core.served().info

    @property
    def members(self) -> Mapping[str, DetectorInfo]:
        """What each member of the group tells about itself, by name; of a single detector, that one alone.

        Raises:
            ModelNotFoundError, ContractMismatchError, ServerError, ClientStateError: as `info`.
        """
        return self._core.served().members

    def detect(self, image: Image, *, score_threshold: float | None = None) -> Detections:
        """Find objects in one image.

        Args:
            image: path, bytes of an image file, or `EncodedImage`.
            score_threshold: lowest score of a detection, 0 to 1; the client's own by default.

        Raises:
            ImageError: the image is at fault.
            ServerError: the server is.
            InvalidOptionError: an argument is not allowed, or the model is a group.
            ClientStateError: the client is closed, or this is a forked process.
        """
        return self._core.detect(image, score_threshold=score_threshold)

    def detect_group(self, image: Image, *, score_threshold: float | None = None) -> GroupDetections:
        """Find objects in one image with every member of a group: `found["yolov8n"]`.

        Args:
            image: path, bytes of an image file, or `EncodedImage`.
            score_threshold: lowest score of a detection of any member, 0 to 1; the client's own by default.

        Raises:
            InvalidOptionError: an argument is not allowed, or the model is a single detector.
            ImageError, ServerError, ClientStateError: as `detect`. Where one member fails, the image has no detections
                at all.
        """
        return self._core.detect_group(image, score_threshold=score_threshold)

    def stream(
        self,
        images: Iterable[Image],
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        score_threshold: float | None = None,
    ) -> Iterator[Result]:
        """Find objects in many images, several requests at a time.

        `images` is advanced in the caller's thread, only as far ahead as the requests on their way need it; files are
        read in other threads. Whatever is wrong with an image, or with the server once the stream has begun, stands in
        that image's result. Leaving the loop early cancels the rest.

        Args:
            images: paths, bytes of image files, or `EncodedImage`s.
            batch_size: images in one request, at least 1; fewer where the model or the byte budget says so. A live
                source wants 1: a request waits until it is complete.
            score_threshold: lowest score of a detection, 0 to 1; the client's own by default.

        Returns:
            One result per image, in the order of `images`; where the model is a group, it has `Result.group`. What
            `images` raises comes after the results of those before.

        Raises:
            InvalidOptionError: an argument is not allowed.
            ServerError, ContractMismatchError, ClientStateError: as `info`, at the first result.
        """
        threshold = self._core.checked_threshold(score_threshold)
        return self._deliver(images, check_count("batch_size", batch_size), threshold)

    def close(self) -> None:
        """Cancel what is on its way and disconnect. A closed client cannot be used again."""
        self._core.close()

    def _deliver(self, images: Iterable[Image], batch_size: int, score_threshold: float) -> Iterator[Result]:
        chunks = Chunks(images, self._core.chunk_builder(batch_size))
        stream = self._core.open_stream(batch_size=batch_size, score_threshold=score_threshold)
        pending: deque[Future[list[Result]]] = deque()
        try:
            while pending or not chunks.ended:
                # Results that are there go out before a slow source is asked for more.
                while not chunks.ended and stream.wants_more(len(pending)) and not (pending and pending[0].done()):
                    self._core.check_usable()
                    if chunk := chunks.take():
                        pending.append(stream.submit(chunk))
                if pending:
                    yield from pending.popleft().result()
        finally:
            self._core.close_stream(stream)
        if chunks.error is not None:
            raise chunks.error
