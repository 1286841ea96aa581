"""Which detector a command talks to."""

from __future__ import annotations

import click

from sightline.errors import InvalidOptionError, ModelNotFoundError, ServerError


def only_model(url: str) -> str:
    """The one detector that is served.

    Raises:
        InvalidOptionError: there are none, or several.
    """
    from sightline.served import list_served

    names = [served.name for served in list_served(url) if served.detector is not None]
    if len(names) != 1:
        hint = f"choose one with --model: {', '.join(names)}" if names else "make one with `sightline export`"
        raise InvalidOptionError(f"{url} serves {len(names) or 'no'} detectors; {hint}")
    click.echo(f"model: {names[0]} (the only one that {url} serves)", err=True)
    return names[0]


def with_served(error: ModelNotFoundError, url: str) -> str:
    """The error, and what the server has instead where it tells."""
    from sightline.served import list_served

    try:
        served = list_served(url)
    except ServerError:  # some servers keep their list to themselves
        return str(error)
    names = [model.name for model in served if model.detector is not None]
    return f"{error}; {url} serves: {', '.join(names) or 'no detector'}"
