"""How the embedded server is started."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sightline.contract import DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT, LOOPBACK_HOST
from sightline.errors import InvalidOptionError

LogHandler = Callable[[str], None]

READY_TIMEOUT_SECONDS = 300.0
STOP_TIMEOUT_SECONDS = 10.0
_MAX_PORT = 65_535


@dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Options of `EmbeddedServer`.

    Attributes:
        repository: folder of models, as Triton wants it.
        host: IP address to listen on. This Triton (24.10) has known holes: leave it on loopback.
        grpc_port: TCP port, 0 to 65535; 0 picks a free one.
        http_port: likewise.
        metrics_port: likewise.
        models: models to load, with what they need; empty loads all.
        ready_timeout_seconds: longest wait until every model is ready.
        stop_timeout_seconds: longest wait for requests in flight when stopping, before the server is killed.
        allow_model_control: let clients load and unload models while it runs, which lets whoever reaches a port run
            code (a web page in a browser of this machine is enough): for tests. It excludes `models`.
        allow_shared_memory: let clients register system shared memory, by name, for their tensors: for load tests.
        use_gpus: False keeps to the CPU where there are NVIDIA GPUs, as an empty `CUDA_VISIBLE_DEVICES` does.
        isolate_images: False makes the `dali` stand-in fail a whole batch for one undecodable image, as the native
            backend does; for tests of clients.
        log_handler: called, in a thread, with each line of the server's log; one that raises is warned of by
            the logger `sightline.server`, and not called again.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    repository: Path
    host: str = LOOPBACK_HOST
    grpc_port: int = DEFAULT_GRPC_PORT
    http_port: int = DEFAULT_HTTP_PORT
    metrics_port: int = DEFAULT_METRICS_PORT
    models: tuple[str, ...] = ()
    ready_timeout_seconds: float = READY_TIMEOUT_SECONDS
    stop_timeout_seconds: float = STOP_TIMEOUT_SECONDS
    allow_model_control: bool = False
    allow_shared_memory: bool = False
    use_gpus: bool = True
    isolate_images: bool = True
    log_handler: LogHandler | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        _check_host(self.host)
        ports = {"grpc_port": self.grpc_port, "http_port": self.http_port, "metrics_port": self.metrics_port}
        for name, port in ports.items():
            _check_port(name, port)
        chosen = [port for port in ports.values() if port]
        if len(set(chosen)) < len(chosen):
            raise InvalidOptionError(f"the ports {ports} must differ; 0 picks a free one")
        if self.models and self.allow_model_control:
            raise InvalidOptionError("allow_model_control loads every model: leave `models` empty")
        _check_seconds("ready_timeout_seconds", self.ready_timeout_seconds)
        _check_seconds("stop_timeout_seconds", self.stop_timeout_seconds)


def _check_host(host: str) -> None:
    try:
        ipaddress.ip_address(host)
    except ValueError as error:
        raise InvalidOptionError(f"host is {host!r}; it must be an IP address, such as {LOOPBACK_HOST}") from error


def _check_port(name: str, port: int) -> None:
    if not 0 <= port <= _MAX_PORT:
        raise InvalidOptionError(f"{name} is {port}; it must lie from 0 (a free one) to {_MAX_PORT}")


def _check_seconds(name: str, seconds: float) -> None:
    if not (seconds > 0 and math.isfinite(seconds)):
        raise InvalidOptionError(f"{name} is {seconds}; it must be more than 0 seconds, and finite")
