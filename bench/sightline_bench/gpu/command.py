"""The options of `bench/gpu.sh`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from sightline.cli._files import check_place
from sightline.errors import InvalidOptionError, SightlineError
from sightline_bench.gpu.plan import (
    ARRANGEMENTS,
    BATCHES,
    MODELS,
    PHOTO_SIZES,
    REQUEST_BATCHES,
    Choices,
    make_plan,
    parse_arrangement,
    parse_numbers,
)
from sightline_bench.gpu.survey import survey
from sightline_bench.measure.rounds import LEAST_ROUNDS

EXIT_LACKING = 1
_CLIENTS = 4
_QUICK_BATCHES, _QUICK_REQUESTS = (1, 8, 64), (8, 64)

_EPILOG = """\b
Examples:
  bench/gpu.sh --check                                 what is there, and what is missing
  bench/gpu.sh --json gpu.json                         everything: some minutes
  bench/gpu.sh --quick --models yolov8n --json gpu.json
  bench/gpu.sh --prepare material/                     where there is a network, torch and Ultralytics ...
  bench/gpu.sh --wheels wheels/ --material material/   ... and where there is none of them
  bench/gpu.sh --device cpu --quick --models yolov8n   a rehearsal without a GPU, which says that it is one

\b
bench/gpu_wheels.sh gathers the packages for a machine without a network. What is missing there is told, and the rest is
measured. docs/benchmarks.md tells what the figures mean.

\b
Exit status: 0 when everything was measured, 1 when something was not (no GPU, for example), 2 for wrong usage.
"""


def _numbers(_context: click.Context, parameter: click.Parameter, text: str) -> tuple[int, ...]:
    try:
        return parse_numbers(text)
    except InvalidOptionError as error:
        raise click.BadParameter(str(error), param=parameter) from error


def _names(allowed: Sequence[str] = ()) -> Any:
    def split(_context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        names = tuple(filter(None, (name.strip() for name in text.split(","))))
        if not names:
            raise click.BadParameter("it names nothing", param=parameter)
        if wrong := [name for name in names if allowed and name not in allowed]:
            raise click.BadParameter(f"there is no {', '.join(wrong)}; choose of {', '.join(allowed)}", param=parameter)
        return names

    return split


def _listed(values: Sequence[object]) -> str:
    return ",".join(map(str, values))


def _folder(*, exists: bool = True) -> click.Path:
    return click.Path(path_type=Path, file_okay=False, exists=exists)


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--check", is_flag=True, help="Only say what is there and what is missing.")
@click.option("--plan", "only_plan", is_flag=True, help="Only say what would be measured, and how long it takes.")
@click.option("--prepare", type=_folder(exists=False), help="Only make detectors and photos, into this new folder.")
@click.option("--material", type=_folder(), help="Take them from such a folder.")
@click.option("--models", default=_listed(MODELS), show_default=True, callback=_names(), help="Detectors.")
@click.option(
    "--photos", default=_listed(PHOTO_SIZES), show_default=True, callback=_names(PHOTO_SIZES), help="Sizes of photos."
)
@click.option(
    "--batches", default=_listed(BATCHES), show_default=True, callback=_numbers, help="Of engine, decoder, letterbox."
)
@click.option(
    "--request-batches",
    default=_listed(REQUEST_BATCHES),
    show_default=True,
    callback=_numbers,
    help="Photos in a request.",
)
@click.option(
    "--arrangement",
    "arrangements",
    multiple=True,
    metavar="BATCHxDECODERSxNETWORKS",
    help=f"Largest batch and instances that are served, again for each; {_listed([each.name for each in ARRANGEMENTS])}"
    " by default. The first is the product's own.",
)
@click.option("--clients", type=click.IntRange(1), default=_CLIENTS, show_default=True, help="Processes that send.")
@click.option("--images", type=_folder(), help="Photos of COCO's size; else the bundled pictures, brought to it.")
@click.option("--weights", type=_folder(), help="Checkpoints, such as yolov8n.pt; else random weights, and told.")
@click.option("--repository", type=_folder(), help="Take the detectors from there instead of exporting them.")
@click.option("--work", type=_folder(exists=False), help="Keeps exports and photos for the next run.")
@click.option(
    "--device", "place", type=click.Choice(["gpu", "cpu"]), default="gpu", help="cpu rehearses without a GPU."
)
@click.option("--rounds", type=click.IntRange(LEAST_ROUNDS), default=LEAST_ROUNDS, show_default=True)
@click.option(
    "--seconds", type=click.FloatRange(0.01), default=0.3, show_default=True, help="Of a pass without server."
)
@click.option("--served-seconds", type=click.FloatRange(0.01), default=2.0, show_default=True, help="Of one with.")
@click.option(
    "--quick", is_flag=True, help=f"Batches {_listed(_QUICK_BATCHES)}, requests of {_listed(_QUICK_REQUESTS)}."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything there.")
def command(**choices: Any) -> None:
    """Measure Sightline on an NVIDIA GPU beside what its engine and decoder can do alone.

    Needs no network. Engine with and without suppression and CUDA graph, decoder, letterbox, and the served chain as a
    part of the smaller limit, in turns, with what the GPU does meanwhile.
    """
    try:
        if choices["json_file"] is not None:
            check_place(choices["json_file"])
        raise SystemExit(_run(choices))
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    except SightlineError as error:
        raise click.ClickException(str(error)) from error


def _run(choices: dict[str, Any]) -> int:
    """The exit status."""
    wanted = _wanted(choices)
    found = survey(choices["place"])
    click.echo("\n".join(["what is there:", *found.lines()]), err=True)
    plan = make_plan(wanted, found)
    if choices["check"]:
        return EXIT_LACKING if found.hopeless or plan.left_out else 0
    from sightline_bench.gpu.run import describe_plan, lay_down_nothing, prepare, run

    if choices["prepare"] is not None:
        prepare(choices, wanted.models)
        return 0
    if choices["only_plan"]:
        click.echo("\n".join(describe_plan(plan, choices)))
        return 0
    if found.hopeless:
        click.echo(f"GPU: not measured: {found.hopeless}", err=True)
        lay_down_nothing(found.hopeless, choices["json_file"])
        return EXIT_LACKING
    return 0 if run(choices, wanted, found, plan) else EXIT_LACKING


def _wanted(choices: dict[str, Any]) -> Choices:
    if choices["quick"]:
        choices["batches"], choices["request_batches"] = _QUICK_BATCHES, _QUICK_REQUESTS
    arrangements = tuple(parse_arrangement(text) for text in choices["arrangements"]) or ARRANGEMENTS
    return Choices(
        models=choices["models"],
        photos=choices["photos"],
        batches=choices["batches"],
        request_batches=choices["request_batches"],
        arrangements=arrangements,
        clients=choices["clients"],
    )
