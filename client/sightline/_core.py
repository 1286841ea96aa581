"""What the blocking and the asyncio client have in common."""

from __future__ import annotations

import os
import threading
import weakref
from dataclasses import replace
from functools import partial

from sightline._alike import varying
from sightline._channel import Channel
from sightline._chunks import Chunk, ChunkBuilder
from sightline._courier import Courier
from sightline._gate import Gate
from sightline._model import Served, ServedGroup, read_served
from sightline._options import DEFAULT_BATCH_SIZE, ClientOptions
from sightline._permits import Permits
from sightline._room import PIXELS_PER_BYTE, Room
from sightline._stream import Stream
from sightline._tiler import Tiler
from sightline._wire import RenewingDecoder
from sightline._worker import Shared, Task, Worker
from sightline.contract import check_fraction
from sightline.detections import Detections, GroupDetections, Result
from sightline.errors import ClientStateError, InvalidOptionError
from sightline.images import Image

_DESCRIPTION_TIMEOUT_SECONDS = 10.0


class Core:
    """Opens streams to one detector or group, and closes them.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        model: the detector's name, or the group's.
        options: how to talk to it.

    Raises:
        InvalidOptionError: the URL or the name is not possible.
    """

    def __init__(self, url: str, *, model: str, options: ClientOptions) -> None:
        if not model:
            raise InvalidOptionError("model is empty; `sightline models` lists what is served")
        self.options = options
        self._url = url
        self._model = model
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._asking = threading.Lock()
        self._closed = False
        self._shared = Shared(Gate(), Room(options.in_flight_pixels))
        self._channel = Channel(url, access=options.access)
        self._served: Served | None = None
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._single: Courier | None = None

    def served(self) -> Served:
        """The model's own description, asked for once.

        Raises:
            ClientStateError: closed, or in a forked process.
            ContractMismatchError: the model is neither a Sightline detector nor a group of them.
            ServerError: no answer, or no such model.
        """
        self.check_usable()
        with self._asking:
            if self._served is None:
                self._served = self._ask_what_is_served()
            return self._served

    def renewed(self, stale: Served) -> Served:
        """What the model tells about itself now that `stale` does not fit its answers; raises as `served`."""
        self.check_usable()
        with self._asking:
            # Whoever came first has asked already.
            if self._served is None or self._served is stale:
                self._served = self._ask_what_is_served()
            return self._served

    def detect(self, image: Image, *, score_threshold: float | None) -> Detections:
        """Find objects in one image with a detector, in the calling thread."""
        threshold, chunk = self.checked_threshold(score_threshold), _chunk_of(image)
        served = self.served()
        if isinstance(served, ServedGroup):
            raise InvalidOptionError(
                f"model {served.name!r} is a group, which gives detections of each of its members "
                f"({', '.join(served.members)}): call detect_group()"
            )
        return self._detect(chunk, served, threshold).unwrap()

    def detect_group(self, image: Image, *, score_threshold: float | None) -> GroupDetections:
        """Find objects in one image with every member of a group, in the calling thread."""
        threshold, chunk = self.checked_threshold(score_threshold), _chunk_of(image)
        served = self.served()
        if not isinstance(served, ServedGroup):
            raise InvalidOptionError(f"model {served.name!r} is a single detector, not a group: call detect()")
        return self._detect(chunk, served, threshold).unwrap_group()

    def _detect(self, chunk: Chunk, served: Served, threshold: float) -> Result:
        task = self._new_task(served, threshold, batch_size=DEFAULT_BATCH_SIZE)
        permits = Permits(self.options.fewest_in_flight, self.options.fewest_in_flight)
        return self._new_worker(self._single_courier(), task, permits).run(chunk)[0]

    def open_stream(self, *, batch_size: int, score_threshold: float) -> Stream:
        """A new stream, with a connection of its own."""
        served = self.served()
        task = self._new_task(served, score_threshold, batch_size=batch_size)
        if task.ways:
            task = replace(task, pooled=min(batch_size, served.max_batch_size))
        with self._lock:
            courier = self._new_courier()
            options = self.options
            permits = Permits(options.fewest_in_flight, options.most_in_flight(batch_size))
            worker = self._new_worker(courier, task, permits)
            max_bytes = options.in_flight_pixels // PIXELS_PER_BYTE
            stream = Stream(courier, worker, permits=permits, max_bytes=max_bytes)
            self._streams.add(stream)
        return stream

    def chunk_builder(self, batch_size: int) -> ChunkBuilder:
        """Chunks as large as both caller and server want them."""
        size = min(batch_size, self.served().max_batch_size)
        return ChunkBuilder(size=size, max_bytes=self.options.batch_bytes)

    def checked_threshold(self, score_threshold: float | None) -> float:
        """The threshold of a call, or the client's own.

        Raises:
            InvalidOptionError: not from 0 to 1.
        """
        if score_threshold is None:
            return self.options.score_threshold
        return check_fraction("score_threshold", score_threshold)

    def check_usable(self) -> None:
        """Do nothing if the client can be used.

        Raises:
            ClientStateError: it is closed, or this is a forked process.
        """
        if os.getpid() != self._pid:
            raise ClientStateError("this client was made before the process forked: make a new one in the child")
        if self._closed:
            raise ClientStateError("the client is closed: make a new one")

    def close_stream(self, stream: Stream) -> None:
        """End a stream; in a forked child, where its threads and connection are not, leave it alone."""
        if os.getpid() == self._pid:
            stream.close()

    def close(self) -> None:
        """End every stream and connection; does nothing the second time, nor in a forked child."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            streams, single = list(self._streams), self._single
        for stream in streams:
            stream.close()
        if single is not None:
            single.close()
            self._shared.wake()
        self._channel.close()

    def _single_courier(self) -> Courier:
        with self._lock:
            if self._single is None:
                self._single = self._new_courier()
            return self._single

    def _new_courier(self) -> Courier:
        self.check_usable()
        return Courier(self._url, model=self._model, options=self.options)

    def _new_task(self, served: Served, score_threshold: float, *, batch_size: int) -> Task:
        ways = varying(served.members.values())
        tiler = self._new_tiler(served, batch_size)
        return Task(score_threshold, RenewingDecoder(served, self.renewed), tiler, ways)

    def _new_tiler(self, served: Served, batch_size: int) -> Tiler | None:
        if self.options.tiling is None:
            return None
        per_request = min(batch_size, served.max_batch_size)
        return Tiler(self.options.tiling, served.info.preprocessing, per_request=per_request, options=self.options)

    def _new_worker(self, courier: Courier, task: Task, permits: Permits) -> Worker:
        return Worker(courier, task, options=self.options, shared=self._shared, permits=permits)

    def _ask_what_is_served(self) -> Served:
        # A deadline for detections may be shorter than it takes to connect.
        timeout_seconds = max(self.options.timeout_seconds, _DESCRIPTION_TIMEOUT_SECONDS)
        read_config = partial(self._channel.model_config, timeout_seconds=timeout_seconds)
        return read_served(read_config(self._model), read_config)


def _chunk_of(image: Image) -> Chunk:
    builder = ChunkBuilder(size=1, max_bytes=1)
    builder.add(image)
    return builder.take()
