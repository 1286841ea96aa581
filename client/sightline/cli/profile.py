"""`sightline profile`: where a model's time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._files import check_place, write_json
from sightline.cli._repository import repository_option
from sightline.errors import InvalidOptionError

if TYPE_CHECKING:
    from sightline_bench.profile.options import ProfileOptions
    from sightline_bench.profile.profile import Profile

_FILE_WIDTH = 120
_EPILOG = """\b
Examples:
  sightline profile yolov8n --images photos/
  sightline profile yolov8n --quick --html profile.html --json profile.json
  sightline profile yolov8n --beside yolov8n_int8 --beside yolov8s     (another precision, another size)
  sightline profile yolov8n --batches 1,8,32 --format jsonl,annotated
  sightline profile yolov8n --trtexec-profile layers.json    (of `trtexec --loadEngine=… --exportProfile=layers.json`)
  jq '.layers[0].layers | sort_by(-.milliseconds) | .[:5] | .[].name' profile.json

\b
Where there is a GPU, this still measures the CPU. docs/profiling.md says how every figure comes about. Other work
on the machine makes times too long, and the report says so.
"""


def _parse_numbers(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(part) for part in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of whole numbers such as 1,4,16") from error


def _parse_names(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in value.split(",")))


@click.command(epilog=_EPILOG)
@click.argument("model")
@repository_option("Triton's folder of models, which holds MODEL.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of photos; without it, the pictures that come with Sightline.",
)
@click.option(
    "--beside", multiple=True, metavar="MODEL", help="Another detector to measure in the same turns; may be repeated."
)
@click.option(
    "--batches",
    callback=_parse_numbers,
    metavar="N,N,…",
    help="Pictures in a batch of the sweep, rising; 1,2,4,8,16,32,64,100 by default, to 16 with --quick.",
)
@click.option(
    "--batch-seconds",
    type=click.FloatRange(min=0, min_open=True),
    help="Time for the sweep; 120 by default, 20 with --quick. What does not fit is left out, and told.",
)
@click.option(
    "--format",
    "formats",
    default="jsonl",
    show_default=True,
    callback=_parse_names,
    help="What is written of a served picture, separated by commas: jsonl, yolo, annotated.",
)
@click.option(
    "--trtexec-profile",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Show the layers of a TensorRT plan too, from a file that `trtexec --exportProfile` wrote.",
)
@click.option("--layers", type=click.IntRange(1), default=10, show_default=True, help="Slowest layers to list.")
@click.option("--quick", is_flag=True, help="Fewer turns, smaller batches, fewer pictures.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything into this file."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the plots, which stands alone, into this file.",
)
def command(model: str, repository: Path, **choices: Any) -> None:
    """Say where the time of the detector MODEL goes, on this machine's CPU.

    Parameters, operations, load time, latency, throughput and memory in every engine and precision that there is; how
    near it comes to what this machine can do, which is measured beside it; larger and larger batches; every layer; and
    a served picture from its file to the written result.
    """
    try:
        for place in (choices["json_file"], choices["html_file"]):
            if place is not None:
                check_place(place)
        found = _profile(_options(model, repository, choices), html=choices["html_file"] is not None)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    _show(found, choices)


def _options(model: str, repository: Path, choices: dict[str, Any]) -> ProfileOptions:
    """What was asked for; what is given goes before what `--quick` says."""
    from dataclasses import replace

    from sightline_bench.profile.options import ProfileOptions

    options = ProfileOptions(
        repository=repository,
        model=model,
        beside=choices["beside"],
        images=choices["images"],
        formats=choices["formats"],
        trtexec_profile=choices["trtexec_profile"],
    )
    if choices["quick"]:
        options = options.quick()
    given = {name: choices[name] for name in ("batches", "batch_seconds") if choices[name] is not None}
    return replace(options, **given)


def _profile(options: ProfileOptions, *, html: bool) -> Profile:
    """Measure.

    Raises:
        MissingDependencyError: an extra is not installed.
    """
    from sightline.errors import MissingDependencyError

    try:
        from sightline_bench.pages.document import check_matplotlib
        from sightline_bench.profile.profile import profile
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline profile` needs the extras export and server ({error}): `make install` in a checkout"
        ) from error
    if html:
        check_matplotlib()
    return profile(options, progress=lambda text: click.echo(text, err=True))


def _show(found: Profile, choices: dict[str, Any]) -> None:
    from rich.console import Console

    from sightline_bench.profile.as_json import as_json
    from sightline_bench.profile.page import write_page
    from sightline_bench.profile.terminal import show

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH  # of a pipe or a file nobody knows the width
    show(found, console, layers=choices["layers"])
    if choices["json_file"] is not None:
        write_json(choices["json_file"], as_json(found))
        click.echo(f"everything is in {choices['json_file']}")
    if choices["html_file"] is not None:
        write_page(found, choices["html_file"])
        click.echo(f"the page is {choices['html_file']}")
