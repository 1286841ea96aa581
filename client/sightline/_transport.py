"""Two ways for a request to travel, unary calls and Triton's `ModelStreamInfer`, behind one interface."""

from __future__ import annotations

import concurrent.futures
import queue
import threading
from typing import Any, Protocol

import grpc
from tritonclient.grpc import service_pb2 as pb

from sightline import _translate
from sightline._channel import Channel, closed_error
from sightline._options import TransportKind
from sightline.errors import DeadlineExceededError, ServerUnavailableError, SightlineError

_SERVICE = "/inference.GRPCInferenceService"


class Transport(Protocol):
    """Carries requests; from several threads at once."""

    def infer(self, request: bytes, *, request_id: str, timeout_seconds: float) -> pb.ModelInferResponse:
        """Send a serialised request and wait for its answer.

        Raises:
            SightlineError: what came instead of an answer; never a foreign error.
        """

    def close(self) -> None:
        """Fail what is on its way; the channel stays."""


def open_transport(kind: TransportKind, channel: Channel) -> Transport:
    """A transport of that kind over a channel."""
    return UnaryTransport(channel) if kind == "unary" else StreamTransport(channel)


class UnaryTransport:
    """One call per request. Only closing the channel cancels a call."""

    def __init__(self, channel: Channel) -> None:
        self._url = channel.url
        self._metadata = channel.metadata
        self._call = channel.grpc.unary_unary(
            f"{_SERVICE}/ModelInfer", request_serializer=None, response_deserializer=pb.ModelInferResponse.FromString
        )

    def infer(self, request: bytes, *, request_id: str, timeout_seconds: float) -> pb.ModelInferResponse:
        """See `Transport`."""
        try:
            return self._call(request, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            raise _translate.from_rpc_error(error, url=self._url) from error
        except ValueError as error:
            raise closed_error(self._url) from error

    def close(self) -> None:
        """See `Transport`."""


class StreamTransport:
    """All requests through one long call, opened anew where it broke."""

    def __init__(self, channel: Channel) -> None:
        self._url = channel.url
        self._metadata = channel.metadata
        self._method = channel.grpc.stream_stream(
            f"{_SERVICE}/ModelStreamInfer",
            request_serializer=None,
            response_deserializer=pb.ModelStreamInferResponse.FromString,
        )
        self._lock = threading.Lock()
        self._pipe: _Pipe | None = None
        self._closed = False

    def infer(self, request: bytes, *, request_id: str, timeout_seconds: float) -> pb.ModelInferResponse:
        """See `Transport`."""
        pipe = self._open_pipe()
        answer = pipe.send(request, request_id)
        try:
            return answer.result(timeout_seconds)
        except concurrent.futures.TimeoutError as error:
            raise DeadlineExceededError(f"no answer from {self._url} within {timeout_seconds:g} s") from error
        finally:
            pipe.forget(request_id)

    def close(self) -> None:
        """See `Transport`."""
        with self._lock:
            self._closed = True
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            pipe.close()

    def _open_pipe(self) -> _Pipe:
        with self._lock:
            if self._closed:
                raise closed_error(self._url)
            if self._pipe is None or self._pipe.broken:
                if self._pipe is not None:
                    self._pipe.close()
                self._pipe = _Pipe(self._method, self._url, self._metadata)
            return self._pipe


class _Pipe:
    """One call of `ModelStreamInfer`, with a thread that hands each answer to whoever waits for it."""

    def __init__(self, method: Any, url: str, metadata: tuple[tuple[str, str], ...]) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._waiting: dict[str, concurrent.futures.Future[pb.ModelInferResponse]] = {}
        self._failure: SightlineError | None = None
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._call = method(iter(self._outbox.get, None), metadata=metadata)
        self._reader = threading.Thread(target=self._read, name="sightline-answers", daemon=True)
        self._reader.start()

    @property
    def broken(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._failure is not None

    def send(self, request: bytes, request_id: str) -> concurrent.futures.Future[pb.ModelInferResponse]:
        answer: concurrent.futures.Future[pb.ModelInferResponse] = concurrent.futures.Future()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._waiting[request_id] = answer
        self._outbox.put(request)
        return answer

    def forget(self, request_id: str) -> None:
        with self._lock:
            self._waiting.pop(request_id, None)

    def close(self) -> None:
        self._outbox.put(None)
        self._call.cancel()
        self._reader.join()

    def _read(self) -> None:
        try:
            for message in self._call:
                self._hand_out(message)
            failure: SightlineError = ServerUnavailableError(f"{self._url} ended the stream")
        except grpc.RpcError as error:
            failure = _translate.from_rpc_error(error, url=self._url)
        with self._lock:
            self._failure = failure
            waiting, self._waiting = self._waiting, {}
        self._outbox.put(None)
        for answer in waiting.values():
            answer.set_exception(failure)

    def _hand_out(self, message: pb.ModelStreamInferResponse) -> None:
        with self._lock:
            answer = self._waiting.pop(message.infer_response.id, None)
        if answer is None:  # its deadline has passed
            return
        if message.error_message:
            answer.set_exception(_translate.from_message(message.error_message))
        else:
            answer.set_result(message.infer_response)
