"""`sightline bench`: measure this machine's server beside what people use today."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._files import check_place
from sightline.cli._signals import EXIT_INTERRUPTED
from sightline.errors import InvalidOptionError, MissingDependencyError

if TYPE_CHECKING:
    from sightline_bench.measure.results import Results
    from sightline_bench.progress import Progress
    from sightline_bench.ratios.registry import Group, Setting

EXIT_LACKING = 1
_ROUNDS = 3
_FILE_WIDTH = 100
_TIMES_FILE = "seconds.json"
"""In the working folder: how long each group took."""
_NEEDED = ("cv2", "torch", "ultralytics", "onnxruntime", "openvino", "nncf", "nvidia.dali")

_EPILOG = """\b
Examples:
  sightline bench --quick
  sightline bench --images coco/val2017 --weights checkpoints/ --json bench.json --html bench.html
  sightline bench --from bench.json --html bench.html                  (the page again, without measuring)
  sightline bench --from bench.json --from job_25k.json --html bench.html
  sightline bench --quick --only served_over_in_process,letterbox_ms
  sightline bench --only p99_over_queue_model --perf-analyzer /opt/bin/perf_analyzer --json load.json
  jq '.ratios | map_values(.median)' bench.json

\b
Everything takes turns in one run, so that what else the machine does disturbs all alike; what counts is ratios. Each
contestant is a program of its own, started as bench/baselines/SCRIPT; the processor time and memory of all of its
processes are in the JSON file. A full run first finds the best settings of each. docs/benchmarks.md tells what the
figures mean.

\b
The JSON file is written anew after each group of figures, so that a run that is cut off keeps what it had; its
figures that are still to come say so, and "complete" is false. Lines on stderr tell the time that has passed and
about how long the run will take, by the last such run with the same --work.

\b
Exit status: 0 when every figure was measured, 1 when one was not (the table says why), 2 for wrong usage, 130 after
Ctrl-C, 143 after SIGTERM; with --from, 0.
"""


@click.command(epilog=_EPILOG)
@click.option("--quick", is_flag=True, help="Fewer images and loads, no search for the best settings: some minutes.")
@click.option(
    "--images",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of photos; without it, the drawn pictures that come with Sightline, which are few.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of checkpoints, such as yolov8n.pt; one that is missing is replaced by random weights, and told.",
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps exports for the next run; without it, one in the user's cache.",
)
@click.option(
    "--perf-analyzer",
    metavar="PATH",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="NVIDIA's perf_analyzer; without it, the one on the PATH, or one that is installed into --work, once.",
)
@click.option("--only", metavar="KEY,...", help="Measure only these figures, named as in the JSON file.")
@click.option(
    "--rounds",
    type=click.IntRange(_ROUNDS),
    help=f"Turns of each contestant, {_ROUNDS} at least.  [default: {_ROUNDS}]",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything into this file."
)
@click.option(
    "--html",
    "html_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a page with the plots, which stands alone, into this file.",
)
@click.option(
    "--from",
    "results_files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Show the results of this JSON file, and measure nothing; again for what was measured by other commands.",
)
@click.pass_context
def command(context: click.Context, /, html_file: Path | None, results_files: tuple[Path, ...], **choices: Any) -> None:
    """Measure Sightline on this machine beside what people use today, on the same images and weights.

    Served detectors against loops, pools, batches and other runtimes, and against their own parts without a server.
    """
    files = Files(json=choices.pop("json_file"), html=html_file)
    if results_files:
        _show_again(context, results_files, files)
        return
    _check_installed()
    from sightline_bench.ratios.groups import GROUPS, check_keys
    from sightline_bench.run import groups_of

    try:
        files.check()
        wanted = check_keys(filter(None, (choices["only"] or "").split(",")))
        setting, progress = _setting(choices, [group.name for group in groups_of(GROUPS, wanted)])
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    raise SystemExit(_measure(GROUPS, wanted, setting, progress, files))


@dataclass(frozen=True)
class Files:
    """What to write; None where it was not asked for."""

    json: Path | None
    html: Path | None

    def check(self) -> None:
        """Refuse before the work what would fail behind it.

        Raises:
            InvalidOptionError: there is no folder for one of them.
            MissingDependencyError: the page needs matplotlib.
        """
        for place in filter(None, (self.json, self.html)):
            check_place(place)
        if self.html is not None:
            from sightline_bench.pages.document import check_matplotlib

            check_matplotlib()

    def write_html(self, results: Results) -> None:
        """The page, if it was asked for.

        Raises:
            OutputError: it cannot be written.
        """
        if self.html is not None:
            from sightline_bench.report.page import write_report

            write_report(self.html, results)
            click.echo(f"the page is {self.html}")


def _show_again(context: click.Context, sources: Sequence[Path], files: Files) -> None:
    """The table and the page of earlier runs.

    Raises:
        UsageError: another option was given, which would be for measuring, or a file does not fit.
    """
    from sightline_bench.measure.results import read_results
    from sightline_bench.report.joined import join

    others = [
        parameter.opts[0]
        for parameter in context.command.params
        if parameter.name not in ("html_file", "results_files")
        and context.get_parameter_source(str(parameter.name)) is click.core.ParameterSource.COMMANDLINE
    ]
    if others:
        raise click.UsageError(f"--from measures nothing, so that only --html goes with it, not {', '.join(others)}")
    try:
        files.check()
        results = join([(source.name, read_results(source)) for source in sources])
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    _show(results)
    files.write_html(results)


def _measure(
    groups: Sequence[Group], wanted: frozenset[str], setting: Setting, progress: Progress, files: Files
) -> int:
    """Measure, show, write; the exit status."""
    from sightline_bench.measure.results import write_results
    from sightline_bench.run import run_groups

    kept: list[Results] = []

    def keep(results: Results) -> None:
        kept[:] = [results]
        if files.json is not None:
            write_results(files.json, results)

    try:
        run_groups(groups, setting, wanted, progress=progress, keep=keep)
        status = EXIT_LACKING if any(each.ratio is None for each in kept[0].figures.values()) else 0
    except KeyboardInterrupt:
        status = EXIT_INTERRUPTED
        click.echo("cut off; everything that was started has ended", err=True)
    for results in kept:
        _show(results)
        if files.json is not None:
            click.echo(f"everything is in {files.json}")
        files.write_html(results)
    return status


def _show(results: Results) -> None:
    from rich.console import Console

    from sightline_bench.report.wording import summary
    from sightline_bench.table import show

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _FILE_WIDTH  # of a pipe or a file nobody knows the width
    show(results.figures, console)
    console.print(f"\n{summary(results)}", style="bold", markup=False)


def _check_installed() -> None:
    """Refuse at once what would fail later.

    Raises:
        MissingDependencyError: something is not installed.
    """
    if missing := [name for name in ("sightline_bench", *_NEEDED) if not _found(name)]:
        raise MissingDependencyError(f"`sightline bench` needs {', '.join(missing)}: `make install` in a checkout")


def _found(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        return False


def _setting(choices: dict[str, Any], groups: Sequence[str]) -> tuple[Setting, Progress]:
    """What the options say, and what tells how far the groups are.

    Raises:
        InvalidOptionError: there are no pictures in the folder.
    """
    from sightline.doctor.cpu import bf16_pays, probe_cpu
    from sightline_bench.material.photos import find_images
    from sightline_bench.material.workshop import Workshop
    from sightline_bench.progress import Progress
    from sightline_bench.ratios.registry import Setting
    from sightline_export.sample import BUNDLED_FOLDER
    from sightline_server.cpu import available_cores

    folder = choices["images"]
    images = find_images(folder or BUNDLED_FOLDER)
    title = (
        f"{len(images)} pictures of {folder.name}" if folder else f"the {len(images)} bundled pictures, again and again"
    )
    work = (choices["work"] or _cache_folder()).resolve()
    progress = Progress(
        groups, quick=choices["quick"], file=work / _TIMES_FILE, write=lambda line: click.echo(line, err=True)
    )
    setting = Setting(
        workshop=Workshop(work, progress.tell),
        images=images,
        images_title=title,
        weights=choices["weights"],
        cores=available_cores(),
        rounds=choices["rounds"] or _ROUNDS,
        quick=choices["quick"],
        bf16=bf16_pays(probe_cpu().features),
        tell=progress.tell,
        perf_analyzer=choices["perf_analyzer"],
    )
    return setting, progress


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sightline" / "bench"
