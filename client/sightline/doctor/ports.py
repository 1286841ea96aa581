"""Who listens on the ports that Sightline uses by default."""

from __future__ import annotations

import http.client
import json
import socket

from sightline.contract import DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT, LOOPBACK_HOST
from sightline.doctor.facts import Port

SOMEBODY = "something that does not say what it is"
_TIMEOUT_SECONDS = 0.3
_USES = {DEFAULT_HTTP_PORT: "HTTP", DEFAULT_GRPC_PORT: "gRPC", DEFAULT_METRICS_PORT: "metrics"}


def probe_ports() -> tuple[Port, ...]:
    """The default ports of the embedded server, on loopback."""
    return tuple(Port(number, use, who_listens(number)) for number, use in _USES.items())


def who_listens(port: int) -> str:
    """Who answers on a port of loopback: empty if nobody, a name and version if it says so."""
    try:
        socket.create_connection((LOOPBACK_HOST, port), timeout=_TIMEOUT_SECONDS).close()
    except OSError:
        return ""
    return parse_listener(_get(port, "/v2"), _get(port, "/metrics"))


def parse_listener(metadata: bytes, metrics: bytes) -> str:
    """A name for whoever gave these answers to `GET /v2` and `GET /metrics`."""
    if b"nv_inference_" in metrics or b"nv_energy_" in metrics:
        return "Triton's metrics"
    try:
        told = json.loads(metadata)
        return f"{told['name'].capitalize()} {told['version']}"
    except (ValueError, KeyError, TypeError, AttributeError):
        return SOMEBODY


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(LOOPBACK_HOST, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read(65536)
    except (OSError, http.client.HTTPException):
        return b""  # not HTTP: the gRPC port, or another program
    finally:
        connection.close()
