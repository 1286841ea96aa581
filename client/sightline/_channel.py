"""One gRPC channel to Triton, and the questions that are not inference."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from typing import Any

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from sightline import _translate
from sightline._options import DEFAULT_URL
from sightline.access import PLAIN, Access
from sightline.errors import InvalidOptionError, PermissionDeniedError, RateLimitedError, ServerUnavailableError

READY = "READY"
"""How Triton names the state of a model that takes requests."""
_LARGEST_PORT = 65_535
_UNLIMITED = -1
# Triton ends connections that are pinged more often than every 5 minutes while nothing else is sent.
_KEEPALIVE_MILLISECONDS = 310_000
_KEEPALIVE_TIMEOUT_MILLISECONDS = 20_000
# Pauses between attempts to connect; each attempt may take longer, on a busy machine or a slow line.
_FIRST_RECONNECT_MILLISECONDS = 100
_LONGEST_RECONNECT_MILLISECONDS = 1_000
_CONNECT_TIMEOUT_MILLISECONDS = 10_000
_RATE_LIMIT_PAUSE_SECONDS = 0.5

_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.max_receive_message_length", _UNLIMITED),
    ("grpc.keepalive_time_ms", _KEEPALIVE_MILLISECONDS),
    ("grpc.keepalive_timeout_ms", _KEEPALIVE_TIMEOUT_MILLISECONDS),
    ("grpc.initial_reconnect_backoff_ms", _FIRST_RECONNECT_MILLISECONDS),
    # In spite of its name, the time that one attempt may take.
    ("grpc.min_reconnect_backoff_ms", _CONNECT_TIMEOUT_MILLISECONDS),
    ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MILLISECONDS),
    # We try again ourselves, and know for how long.
    ("grpc.enable_retries", 0),
)


class Channel:
    """A connection, made when it is first used. Closing it cancels every call on it.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        access: encryption and token; without, neither.

    Attributes:
        metadata: what must go with each call.

    Raises:
        InvalidOptionError: `url` has another form, or a token would travel unencrypted.
    """

    def __init__(self, url: str, *, access: Access = PLAIN) -> None:
        self.url = url
        self.metadata = access.call_metadata
        self.grpc = _open(url, access)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self.grpc)

    def close(self) -> None:
        """Cancel what is on its way, and disconnect."""
        self.grpc.close()

    def model_config(self, model: str, *, timeout_seconds: float) -> model_config_pb2.ModelConfig:
        """The configuration of a served model.

        Raises:
            ModelNotFoundError: there is no such model, or it is not ready.
            ServerError: no answer.
        """
        request = service_pb2.ModelConfigRequest(name=model)
        return self._ask(self._stub.ModelConfig, request, timeout_seconds).config

    def model_ready(self, model: str, *, timeout_seconds: float) -> bool:
        """Whether the server answers and the model is ready.

        Raises:
            ServerError: no answer.
        """
        request = service_pb2.ModelReadyRequest(name=model)
        ready: bool = self._ask(self._stub.ModelReady, request, timeout_seconds).ready
        return ready

    def model_index(self, *, timeout_seconds: float) -> list[Any]:
        """Every model of the server's repositories: `name`, `version`, `state`, `reason`.

        Where the repository is for its administrator only, as it should be in production, those that are ready.

        Raises:
            PermissionDeniedError: the server tells neither.
            ServerError: no answer.
        """
        try:
            request = service_pb2.RepositoryIndexRequest()
            return list(self._ask(self._stub.RepositoryIndex, request, timeout_seconds).models)
        except PermissionDeniedError:
            counted = self._ask(self._stub.ModelStatistics, service_pb2.ModelStatisticsRequest(), timeout_seconds)
        entry = service_pb2.RepositoryIndexResponse.ModelIndex
        return [entry(name=model.name, version=model.version, state=READY) for model in counted.model_stats]

    def _ask(self, method: Callable[..., Any], request: Any, timeout_seconds: float) -> Any:
        """Repeat while others who share the token leave no room, until the deadline."""
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                return self._ask_once(method, request, deadline - time.monotonic())
            except RateLimitedError:
                if deadline - time.monotonic() <= _RATE_LIMIT_PAUSE_SECONDS:
                    raise
            time.sleep(_RATE_LIMIT_PAUSE_SECONDS)

    def _ask_once(self, method: Callable[..., Any], request: Any, timeout_seconds: float) -> Any:
        try:
            return method(request, timeout=timeout_seconds, metadata=self.metadata)
        except grpc.RpcError as error:
            raise _translate.from_rpc_error(error, url=self.url) from error
        except ValueError as error:
            raise closed_error(self.url) from error


def closed_error(url: str) -> ServerUnavailableError:
    """Ours for the `ValueError` that gRPC raises where a channel was closed."""
    return ServerUnavailableError(f"the connection to {url} was closed")


def _open(url: str, access: Access) -> Any:
    is_near = _is_loopback(_host_of(url))
    options = [*_OPTIONS, ("grpc.enable_http_proxy", 0)] if is_near else list(_OPTIONS)
    if access.tls:
        credentials = grpc.ssl_channel_credentials(root_certificates=access.ca_certificates)
        return grpc.secure_channel(url, credentials, options=options)
    if access.token is not None and not is_near:
        raise InvalidOptionError(
            f"the token would travel to {url} unencrypted: encrypt with --tls-ca FILE or --tls (Access(tls=True)); "
            "without, a token goes to this machine only"
        )
    return grpc.insecure_channel(url, options=options)


def _host_of(url: str) -> str:
    host, separator, port = url.rpartition(":")
    if not separator or not host or "/" in url or not port.isdecimal() or not 0 < int(port) <= _LARGEST_PORT:
        raise InvalidOptionError(
            f"url is {url!r}; it must be HOST:PORT of Triton's gRPC service, such as {DEFAULT_URL}"
        )
    return host.strip("[]")


def _is_loopback(host: str) -> bool:
    """A proxy from the environment must not be asked for this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
