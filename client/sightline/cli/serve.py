"""`sightline serve`: the embedded Triton, until Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sightline.cli._repository import repository_option
from sightline.contract import DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT, LOOPBACK_HOST
from sightline.errors import ContractMismatchError, LaunchError

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import ModelConfig

    from sightline_server.launcher import EmbeddedServer
    from sightline_server.options import LogHandler

_PORT = click.IntRange(0, 65_535)


@click.command(
    epilog="""\b
Examples:
  sightline serve                                    every model of model_repository
  sightline serve --model yolov8n                    one detector, with its parts
  sightline serve --model fleet                      one group, with its members' networks
  sightline serve --repository /srv/models --grpc-port 0
  sightline serve --verbose                          with Triton's own log
"""
)
@repository_option("Folder of models, as `sightline export` writes it.")
@click.option(
    "--host",
    default=LOOPBACK_HOST,
    show_default=True,
    help="IP address to listen on. Leave it on loopback, except in a container whose ports are.",
)
@click.option("--grpc-port", type=_PORT, default=DEFAULT_GRPC_PORT, show_default=True, help="0 picks a free one.")
@click.option("--http-port", type=_PORT, default=DEFAULT_HTTP_PORT, show_default=True, help="0 picks a free one.")
@click.option("--metrics-port", type=_PORT, default=DEFAULT_METRICS_PORT, show_default=True, help="0 picks a free one.")
@click.option("--model", "models", multiple=True, help="Serve this model only, with its parts; may be repeated.")
@click.option("--verbose", is_flag=True, help="Show Triton's log.")
@click.option("--log-file", type=click.Path(path_type=Path, dir_okay=False), help="Append Triton's log to this file.")
def command(  # noqa: PLR0913, PLR0917 - one argument for each option
    repository: Path,
    host: str,
    grpc_port: int,
    http_port: int,
    metrics_port: int,
    models: tuple[str, ...],
    verbose: bool,
    log_file: Path | None,
) -> None:
    """Serve a model repository with the embedded Triton until Ctrl-C.

    For development and trial: it listens on this machine only, and its release (24.10) has holes that later ones do not
    have.
    """
    from sightline_server.launcher import EmbeddedServer, ServerOptions

    with _stopping_quietly(), _log_handler(verbose=verbose, file=log_file) as log_handler:
        options = ServerOptions(
            repository=repository,
            host=host,
            grpc_port=grpc_port,
            http_port=http_port,
            metrics_port=metrics_port,
            models=models,
            log_handler=log_handler,
        )
        click.echo(f"Loading the models of {repository} ...", err=True)
        with EmbeddedServer(options) as server:
            _announce(server)
            server.wait()
            raise LaunchError(f"the server ended by itself: {server.describe_end()}")


@contextmanager
def _stopping_quietly() -> Iterator[None]:
    """Being told to stop is what the user wants: no error."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)


@contextmanager
def _log_handler(*, verbose: bool, file: Path | None) -> Iterator[LogHandler | None]:
    """What to do with each line of Triton's log."""
    if file is None:
        yield (lambda line: click.echo(line, err=True)) if verbose else None
        return
    with click.open_file(str(file), "a", encoding="utf-8") as stream:

        def write(line: str) -> None:
            stream.write(f"{line}\n")
            stream.flush()
            if verbose:
                click.echo(line, err=True)

        yield write


def _announce(server: EmbeddedServer) -> None:
    engines = server.engines()
    names = server.model_names()
    width = max(len(name) for name in names)
    lines = [
        "Triton is ready, for development on this machine only:",
        f"  gRPC      {server.grpc_url}",
        f"  HTTP      http://{server.http_url}",
        f"  metrics   http://{server.metrics_url}/metrics",
        "Models:",
        *(f"  {name:{width}}  {engines.get(name, '')!s}".rstrip() for name in names),
    ]
    click.echo("\n".join(lines))
    if unverified := _unverified(server, names):
        click.secho(
            f"UNVERIFIED, never seen to find what they were exported from: {', '.join(unverified)}; `sightline models` "
            "says why",
            fg="yellow",
        )
    click.echo("Ctrl-C stops it.")


def _unverified(server: EmbeddedServer, names: Sequence[str]) -> list[str]:
    """Detectors, alone or in groups, whose export was not compared with its source, or not on enough."""
    from sightline._model import read_served
    from sightline_export.config import CONFIG_FILE, parse

    def config(name: str) -> ModelConfig:
        return parse((server.options.repository / name / CONFIG_FILE).read_text(encoding="utf-8"))

    found = set()
    for name in names:
        try:
            members = read_served(config(name), config).members
        except ContractMismatchError:  # a part of a detector, or somebody else's model
            continue
        found |= {member for member, info in members.items() if not (info.verification and info.verification.verified)}
    return sorted(found)
