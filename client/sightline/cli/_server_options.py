"""Options of the commands that talk to a running server."""

from __future__ import annotations

import click

from sightline._options import DEFAULT_BATCH_SIZE, DEFAULT_TIMEOUT_SECONDS, DEFAULT_URL

url_option = click.option(
    "--url", default=DEFAULT_URL, show_default=True, metavar="HOST:PORT", help="Triton's gRPC service."
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
