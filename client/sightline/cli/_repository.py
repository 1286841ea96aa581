"""Which model repository a command works on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sightline.contract import MODEL_REPOSITORY

repository_argument = click.argument("repository", type=click.Path(path_type=Path), default=Path(MODEL_REPOSITORY))


def repository_option(help_text: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option `--repository`, with what it is for in this command."""
    return click.option(
        "--repository",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path(MODEL_REPOSITORY),
        show_default=True,
        help=help_text,
    )
