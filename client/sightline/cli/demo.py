"""`sightline demo`: the main job on the bundled detector and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from sightline.cli._repository import repository_option
from sightline.contract import network_name
from sightline.errors import MissingDependencyError, SightlineError

if TYPE_CHECKING:
    from sightline.job import JobReport, Row

MODEL = "demo"
_BATCH_SIZE = 4
# Below this, the small detector is wrong too often for a demonstration.
_SCORE_THRESHOLD = 0.5


@click.command(
    epilog="""\b
Examples:
  sightline demo                          results in demo-results/
  sightline demo --output /tmp/first-look
"""
)
@repository_option("Model repository that holds the bundled detector.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo-results"),
    show_default=True,
    help="Folder for results.jsonl and the annotated pictures.",
)
def command(repository: Path, output: Path) -> None:
    """Serve the bundled detector on free ports, detect in the bundled pictures, stop.

    Shows the whole way on your own machine: an embedded Triton, batches through gRPC, results and annotated pictures.
    """
    from sightline.annotate import load_annotators
    from sightline_server.launcher import EmbeddedServer, ServerOptions

    _check_bundled(repository)
    load_annotators()
    with resources.as_file(resources.files("sightline_export.demo") / "pictures") as pictures:
        options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0, models=(MODEL,))
        click.echo("Starting the embedded Triton ...")
        with EmbeddedServer(options) as server:
            engine = server.engines().get(network_name(MODEL))
            running = f" ({engine.engine} {engine.version}, {engine.precision})" if engine else ""
            click.echo(f"Serving {MODEL}{running} at {server.grpc_url}; streaming the pictures of {pictures}")
            report, rows = _detect(server.grpc_url, pictures, output)
    click.echo("Server stopped.")
    _show(rows)
    click.echo(report.summary())
    _say_where(output)
    if report.interrupted:
        raise click.Abort
    if report.failed:
        raise SightlineError(f"{report.failed} of the bundled pictures failed; see {output / 'errors.jsonl'}")


def _check_bundled(repository: Path) -> None:
    if not (repository / MODEL / "config.pbtxt").is_file():
        raise MissingDependencyError(
            f"{repository} holds no model named {MODEL!r}: run this in a checkout, where the bundled detector is in "
            "model_repository/, or name that folder with --repository"
        )


def _detect(url: str, pictures: Path, output: Path) -> tuple[JobReport, Sequence[Row]]:
    from sightline.client import Client
    from sightline.job import run
    from sightline.progress import RunProgress
    from sightline.sources import Sources
    from sightline.writers import AnnotatedWriter, ErrorLog, JsonLinesWriter, WriterPool

    rows: list[Row] = []
    sources = Sources([str(pictures)])
    writers = (JsonLinesWriter(output), AnnotatedWriter(output, base=sources.base()))
    pool = WriterPool(writers, errors=ErrorLog(output))
    with Client(url, model=MODEL) as client, RunProgress(sources) as progress:
        results = client.stream(sources, batch_size=_BATCH_SIZE, score_threshold=_SCORE_THRESHOLD)
        report = run(results, pool=pool, sources=sources, watchers=(rows.append, progress.advance))
    return report, rows


def _show(rows: Sequence[Row]) -> None:
    table = Table(title="Detections", title_justify="left")
    table.add_column("image")
    for column in ("objects", "best score", "milliseconds"):
        table.add_column(column, justify="right")
    for row in rows:
        best = "" if row.best_score is None else f"{row.best_score:.3f}"
        took = "" if row.milliseconds is None else f"{row.milliseconds:.0f}"
        found = str(row.objects) if row.error is None else f"[red]{row.error}"
        table.add_row(Path(row.source).name, found, best, took)
    Console().print(table)
    click.echo(f"(milliseconds: of the request that carried the picture, with up to {_BATCH_SIZE - 1} others)")


def _say_where(output: Path) -> None:
    click.echo(
        f"\nResults            {output / 'results.jsonl'}\n"
        f"Annotated pictures {output / 'annotated'}\n"
        "Your own model     make install, then: .venv/bin/sightline export yolov8n.pt"
    )
