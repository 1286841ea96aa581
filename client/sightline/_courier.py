"""Gets one request answered, through a busy server and a broken connection."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Sequence

from tritonclient.grpc import service_pb2 as pb

from sightline import _wire
from sightline._channel import Channel
from sightline._options import ClientOptions
from sightline._outage import Outage
from sightline._transport import open_transport
from sightline.errors import (
    ClientStateError,
    ModelNotFoundError,
    RateLimitedError,
    ServerBusyError,
    ServerError,
    ServerUnavailableError,
    SightlineError,
)

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_PROBE_TIMEOUT_SECONDS = 2.0

# The model was there when the client asked for its description: a server that stops, or loads the model anew, lacks it
# for a while.
_GONE = (ServerUnavailableError, ModelNotFoundError)


class Courier:
    """A connection of its own to one model; from several threads at once.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        model: the detector's name.
        options: deadline, transport, patience.
    """

    def __init__(self, url: str, *, model: str, options: ClientOptions) -> None:
        self._model = model
        self._options = options
        self._channel = Channel(url, access=options.access)
        self._transport = open_transport(options.transport, self._channel)
        self._outage = Outage(patience_seconds=options.reconnect_seconds)
        self._closed = threading.Event()
        self._request_ids = itertools.count(1)
        self._answered_at = float("-inf")

    def deliver(self, payloads: Sequence[bytes], *, score_threshold: float) -> pb.ModelInferResponse:
        """Send image files as one request and wait for its answer.

        Raises:
            ClientStateError: `close` was called.
            SightlineError: what went wrong.
        """
        self._look_whether_back()
        # Its own clock too: a server that answers all others would stop the shared one again and again.
        gives_up_at: float | None = None
        while True:
            self.check_open()
            try:
                answer = self._send(payloads, score_threshold)
            except _GONE as error:
                self.check_open()
                self._outage.begin(error)
                gives_up_at = gives_up_at or time.monotonic() + self._options.reconnect_seconds
                self._wait_for_server(error, gives_up_at)
            else:
                self._outage.end()
                self._answered_at = time.monotonic()
                return answer

    def close(self) -> None:
        """Cancel what is on its way; everybody who waits gets a `ClientStateError`."""
        self._closed.set()
        self._transport.close()
        self._channel.close()

    def check_open(self) -> None:
        """Do nothing, unless closed.

        Raises:
            ClientStateError: `close` was called.
        """
        if self._closed.is_set():
            raise ClientStateError("the stream was closed")

    def pause(self, seconds: float) -> None:
        """Wait.

        Raises:
            ClientStateError: `close` was called.
        """
        self._closed.wait(seconds)
        self.check_open()

    def _send(self, payloads: Sequence[bytes], score_threshold: float) -> pb.ModelInferResponse:
        """Repeat while the server is busy, until the deadline; while a rate is kept to, as long as anything passes."""
        begun = time.monotonic()
        deadline = begun + self._options.timeout_seconds
        pause_seconds = _FIRST_PAUSE_SECONDS
        while True:
            left_seconds = max(deadline - time.monotonic(), 0.001)
            try:
                return self._send_once(payloads, score_threshold, left_seconds)
            except RateLimitedError:
                now = time.monotonic()
                if now - max(begun, self._answered_at) >= self._options.timeout_seconds:
                    raise
                # Refused before it began: its clock starts anew, after the pause.
                deadline = now + pause_seconds + self._options.timeout_seconds
            except ServerBusyError:
                if deadline - time.monotonic() <= pause_seconds:
                    raise
            # Never in step with others who wait for the same thing.
            self.pause(pause_seconds * random.uniform(0.5, 1))
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)

    def _send_once(
        self, payloads: Sequence[bytes], score_threshold: float, timeout_seconds: float
    ) -> pb.ModelInferResponse:
        request_id = str(next(self._request_ids))
        request = _wire.encode_request(
            model=self._model,
            request_id=request_id,
            payloads=payloads,
            score_threshold=score_threshold,
            timeout_seconds=timeout_seconds,
        )
        return self._transport.infer(request, request_id=request_id, timeout_seconds=timeout_seconds)

    def _wait_for_server(self, error: ServerError, gives_up_at: float) -> None:
        """Come back when the model is ready; raise `error` when patience is over."""
        pause_seconds = _FIRST_PAUSE_SECONDS
        while self._outage.patient and time.monotonic() < gives_up_at:
            self.pause(pause_seconds)
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
            if self._is_ready():
                return
        raise error

    def _look_whether_back(self) -> None:
        error = self._outage.final_error
        if error is None:
            return
        if not (self._outage.claim_probe() and self._is_ready()):
            raise error
        self._outage.end()

    def _is_ready(self) -> bool:
        try:
            return self._channel.model_ready(self._model, timeout_seconds=_PROBE_TIMEOUT_SECONDS)
        except SightlineError:
            return False
