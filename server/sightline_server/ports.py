"""TCP ports: free ones, and whether a chosen one is taken."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from sightline.errors import InvalidOptionError, LaunchError, PortInUseError
from sightline_server.options import ServerOptions


@dataclass(frozen=True)
class Ports:
    """The TCP ports of one server."""

    grpc: int
    http: int
    metrics: int


def choose_ports(options: ServerOptions) -> Ports:
    """The ports that the options name, and free ones where they say 0.

    Nothing holds the ports afterwards, so somebody may take one before the server does.

    Raises:
        PortInUseError: somebody listens on a port that the options name.
        LaunchError: the host is no address of this machine, or the port needs privileges.
    """
    with ExitStack() as held:
        return Ports(
            grpc=_bind(held, options.host, options.grpc_port, "--grpc-port"),
            http=_bind(held, options.host, options.http_port, "--http-port"),
            metrics=_bind(held, options.host, options.metrics_port, "--metrics-port"),
        )


def _bind(held: ExitStack, host: str, port: int, option: str) -> int:
    """Hold the port until `held` closes, so that no two of ours get the same."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    probe = held.enter_context(socket.socket(family, socket.SOCK_STREAM))
    # Connections that linger after an earlier server do not count, a listener does.
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind((host, port))
        probe.listen(1)
    except OSError as error:
        raise _port_error(error, host=host, port=port, option=option) from error
    return int(probe.getsockname()[1])


def _port_error(error: OSError, *, host: str, port: int, option: str) -> LaunchError | InvalidOptionError:
    if error.errno == errno.EADDRINUSE:
        return PortInUseError(
            f"port {port} on {host} is in use by another program: stop it, or choose one with {option} (0 picks one)"
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return LaunchError(f"cannot listen on {host}: it is no address of this machine")
    return LaunchError(f"cannot listen on port {port} of {host}: {error.strerror}; choose another with {option}")
