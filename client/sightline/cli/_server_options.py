"""Options of the commands that talk to a running server."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sightline._options import DEFAULT_BATCH_SIZE, DEFAULT_TIMEOUT_SECONDS, DEFAULT_URL
from sightline.access import Access
from sightline.errors import InvalidOptionError

if TYPE_CHECKING:
    from sightline.served import ServedModel

_FILE = click.Path(path_type=Path)
_CONNECTION_OPTIONS = (
    click.option(
        "--url",
        default=DEFAULT_URL,
        show_default=True,
        metavar="HOST:PORT",
        help="Triton's gRPC service, or the proxy before it.",
    ),
    click.option("--tls", is_flag=True, help="Encrypt, for a server whose certificate a public authority signed."),
    click.option(
        "--tls-ca",
        type=_FILE,
        metavar="FILE",
        help="Encrypt, and trust the authorities whose certificates this file holds.",
    ),
    click.option(
        "--token-file", type=_FILE, metavar="FILE", help="File with the token that the server wants, and nothing else."
    ),
)
batch_size_option = click.option(
    "--batch-size",
    type=click.IntRange(1),
    default=DEFAULT_BATCH_SIZE,
    show_default=True,
    help="Images in one request, at the most.",
)
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_TIMEOUT_SECONDS,
    show_default=True,
    help="Longest wait for the answer to one request, in seconds.",
)


class Server(NamedTuple):
    """Where a server is, and how to get in."""

    url: str
    access: Access

    def served(self) -> list[ServedModel]:
        """What it serves; raises as `sightline.served.list_served`."""
        from sightline.served import list_served

        return list_served(self.url, access=self.access)


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which server a command talks to; it gets a keyword argument `server`."""

    @functools.wraps(command)
    def with_server(*args: Any, url: str, tls: bool, tls_ca: Path | None, token_file: Path | None, **rest: Any) -> Any:
        return command(*args, server=Server(url, _read_access(tls, tls_ca, token_file)), **rest)

    for option in reversed(_CONNECTION_OPTIONS):
        with_server = option(with_server)
    return with_server


def _read_access(tls: bool, tls_ca: Path | None, token_file: Path | None) -> Access:
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            access = Access.from_files(tls=tls, tls_ca=tls_ca, token_file=token_file)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    for warning in caught:
        click.secho(f"warning: {warning.message}", fg="yellow", err=True)
    return access
