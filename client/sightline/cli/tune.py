"""`sightline tune`: the fastest settings for this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._files import check_place, write_json
from sightline.cli._repository import repository_option
from sightline.errors import InvalidOptionError, MissingDependencyError

if TYPE_CHECKING:
    from sightline_bench.tune.detector import Detector
    from sightline_bench.tune.options import TuneOptions
    from sightline_bench.tune.run import Tuned

_FILE_WIDTH = 140
_OBJECTIVES = ("throughput", "latency")
_DEFAULT_MINUTES, _DEFAULT_CLIENTS = 10.0, 4
_EPILOG = """\b
Examples:
  sightline tune yolov8n --images photos/
  sightline tune yolov8n --minutes 30 --json tune.json
  sightline tune yolov8n --objective latency --clients 8
  sightline tune yolov8n --dry-run                        (show, write nothing)
  sightline tune yolov8n --reset                          (back to what `sightline export` writes)

\b
Run it while the machine does nothing else, on photos like yours. What is varied takes turns with what stands in the
repository, and is taken only where it is better in every round of a comparison that decides alone; where nothing is,
nothing is written. Detections stay the same. `sightline export` of the same name keeps the settings.

\b
The preprocessing (such as letterbox_640) is shared by all detectors of its input size: its settings hold for them too.
A server that runs has the old settings until it is started again. docs/tuning.md says more.
"""


@click.command(epilog=_EPILOG)
@click.argument("model")
@repository_option("Triton's folder of models, which holds MODEL.")
@click.option(
    "--objective",
    type=click.Choice(_OBJECTIVES),
    default=_OBJECTIVES[0],
    show_default=True,
    help="Images a second of a client that streams, or the time within which 95 % of the answers come to clients that "
    "each ask for one image at a time.",
)
@click.option(
    "--clients",
    type=click.IntRange(1),
    help=f"Of --objective latency: how many there are; {_DEFAULT_CLIENTS} by default.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=_DEFAULT_MINUTES,
    show_default=True,
    help="About how long to search; what there is no time for is told.",
)
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of photos; without it, the pictures that come with Sightline.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@click.option("--reset", is_flag=True, help="Measure nothing: write what `sightline export` writes.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything into this file."
)
def command(model: str, repository: Path, **choices: Any) -> None:
    """Find the fastest settings of the detector MODEL on this machine and write them into its config.pbtxt.

    Instances and threads of the network and of decoding, how long requests wait for each other, preferred batches;
    and how many images a client's request should hold, which is told.
    """
    _check_installed()
    try:
        if choices["json_file"] is not None:
            check_place(choices["json_file"])
        if choices["reset"]:
            _reset(repository, model, choices)
            return
        options = _options(model, repository, choices)
        tuned = _tune(options)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    _finish(tuned, choices)


def _check_installed() -> None:
    """Refuse at once.

    Raises:
        MissingDependencyError: an extra is not installed.
    """
    try:
        import sightline_bench.tune.run  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline tune` needs the extras export and server ({error}): `make install` in a checkout"
        ) from error


def _options(model: str, repository: Path, choices: dict[str, Any]) -> TuneOptions:
    from sightline_bench.tune.options import TuneOptions

    if choices["clients"] is not None and choices["objective"] != "latency":
        raise InvalidOptionError("--clients belongs to --objective latency: for throughput a single client streams")
    return TuneOptions(
        repository=repository,
        model=model,
        objective=choices["objective"],
        clients=choices["clients"] or _DEFAULT_CLIENTS,
        minutes=choices["minutes"],
        images=choices["images"],
    )


def _tune(options: TuneOptions) -> Tuned:
    from sightline_bench.tune.run import tune

    return tune(options, tell=lambda text: click.echo(text, err=True))


def _reset(repository: Path, model: str, choices: dict[str, Any]) -> None:
    from sightline_bench.tune.detector import read_detector
    from sightline_bench.tune.keep import reset

    if choices["dry_run"] or choices["json_file"] is not None:
        raise InvalidOptionError("--reset measures nothing: it goes with neither --dry-run nor --json")
    detector = read_detector(repository, model)
    changed = reset(detector)
    if not changed:
        click.echo(f"{model} has the settings that `sightline export` gives it; nothing was changed")
        return
    _tell_changed(detector, changed)


def _finish(tuned: Tuned, choices: dict[str, Any]) -> None:
    from rich.console import Console

    from sightline_bench.tune.keep import keep
    from sightline_bench.tune.report import as_json, show

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH  # of a pipe or a file nobody knows the width
    show(tuned, console)
    for line in _findings(tuned):
        click.echo(line)
    changed: Sequence[Path] = ()
    outcome = tuned.outcome
    if outcome.best != outcome.start and not choices["dry_run"]:
        changed = keep(tuned.detector, outcome.best.schedules)
        _tell_changed(tuned.detector, changed)
    elif outcome.best != outcome.start:
        click.echo("nothing was written (--dry-run)")
    if choices["json_file"] is not None:
        write_json(choices["json_file"], as_json(tuned, written=[str(file) for file in changed]))
        click.echo(f"everything is in {choices['json_file']}")


def _findings(tuned: Tuned) -> Iterator[str]:
    outcome = tuned.outcome
    if outcome.gain is None:
        nothing = "nothing is better by more than the spread"
        if not outcome.rows:
            nothing = "there was no time to compare anything; give it more --minutes, or the machine less to do"
        yield click.style(f"{tuned.detector.name} stays as it is: {nothing}", fg="green" if outcome.rows else "yellow")
    else:
        what = "images/s" if tuned.options.objective == "throughput" else "in p95"
        gain = f"{outcome.gain.median:.2f} times as fast {what} ({outcome.gain.low:.2f} - {outcome.gain.high:.2f})"
        yield click.style(f"{tuned.detector.name}: {gain} with {outcome.best.words(outcome.start)}", fg="green")
    if outcome.batch_size != outcome.start.batch_size:
        size = outcome.batch_size
        yield (
            f"clients that stream are faster with {size} image{'s' * (size > 1)} in a request: `sightline detect "
            f"--batch-size {size}`, or Client.stream(…, batch_size={size})"
        )


def _tell_changed(detector: Detector, changed: Sequence[Path]) -> None:
    for file in changed:
        click.echo(f"written: {file}")
        if others := detector.others_behind(file.parent.name):
            click.secho(f"note: {file.parent.name} also serves {', '.join(others)}", fg="yellow", err=True)
    click.echo(
        "a server that runs has the old settings: start `sightline serve` again, or have Triton load the models anew"
    )
