"""Which detector a command talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from sightline.errors import InvalidOptionError, ModelNotFoundError, PermissionDeniedError, ServerError

if TYPE_CHECKING:
    from sightline.cli._server_options import Server


def only_model(server: Server) -> str:
    """The one detector or group that is served.

    Raises:
        InvalidOptionError: there are none, or several, or the server does not tell.
    """
    try:
        names = [served.name for served in server.served() if served.is_ours]
    except PermissionDeniedError as error:
        raise InvalidOptionError(f"name the detector with --model: {error}") from error
    if len(names) != 1:
        hint = f"choose one with --model: {', '.join(names)}" if names else "make one with `sightline export`"
        raise InvalidOptionError(f"{server.url} serves {len(names) or 'no'} detectors; {hint}")
    click.echo(f"model: {names[0]} (the only one that {server.url} serves)", err=True)
    return names[0]


def with_served(error: ModelNotFoundError, server: Server) -> str:
    """The error, and what the server has instead where it tells."""
    try:
        served = server.served()
    except ServerError:  # some servers keep their list to themselves
        return str(error)
    names = [model.name for model in served if model.is_ours]
    return f"{error}; {server.url} serves: {', '.join(names) or 'no detector'}"
