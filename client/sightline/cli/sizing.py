"""`sightline sizing`: the memory that a Triton server of a model repository needs, as settings for docker compose."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from sightline.cli._repository import repository_argument
from sightline.images import DEFAULT_MAX_IMAGE_BYTES

if TYPE_CHECKING:
    from sightline_export.sizing import Sizes


@click.command(
    epilog="""\b
Examples:
  sightline sizing                                      the folder model_repository, on one GPU
  sightline sizing /srv/models --gpus 4
  sightline sizing --images-in-flight 512               16 clients that each have 4 requests of 8 images on their way
"""
)
@repository_argument
@click.option("--gpus", type=click.IntRange(min=1), default=1, show_default=True, help="GPUs of the server.")
@click.option(
    "--images-in-flight",
    type=click.IntRange(min=0),
    default=0,
    help="Images that all clients have on their way to one GPU at the same time.",
)
@click.option(
    "--max-image-bytes",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_IMAGE_BYTES,
    show_default=True,
    help="Largest image file that clients send.",
)
def command(repository: Path, gpus: int, images_in_flight: int, max_image_bytes: int) -> None:
    """Compute Triton's memory pools for the model repository REPOSITORY.

    Prints the lines that stand in .env, for `docker compose`. Nothing is executed and nothing is changed.
    """
    from sightline_export.sizing import size_repository

    sizes = size_repository(repository, gpus=gpus, images_in_flight=images_in_flight, max_image_bytes=max_image_bytes)
    click.echo("\n".join(f"{name}={value}" for name, value in as_settings(sizes).items()))
    click.echo(
        f"Decoding takes up to {sizes.decoding_bytes / 1e9:.1f} GB of each GPU more, if a whole batch has the most "
        "pixels that are allowed.",
        err=True,
    )
    if sizes.left_out:
        click.echo(f"Left out, since their tensors vary in size: {', '.join(sizes.left_out)}.", err=True)


def as_settings(sizes: Sizes) -> dict[str, int]:
    """The settings of docker-compose.yml, by name."""
    return {
        "CUDA_POOL_BYTES": sizes.cuda_pool_bytes,
        "PINNED_POOL_BYTES": sizes.pinned_pool_bytes,
        "SHARED_MEMORY_BYTES": sizes.shared_memory_bytes,
        "HTTP_MAX_INPUT_BYTES": sizes.http_max_input_bytes,
    }
