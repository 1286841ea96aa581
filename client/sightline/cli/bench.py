"""`sightline bench`: measure this machine's server beside what people use today."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._files import check_place
from sightline.errors import InvalidOptionError, MissingDependencyError

if TYPE_CHECKING:
    from sightline_bench.ratios.registry import Setting

EXIT_LACKING = 1
_ROUNDS, _QUICK_ROUNDS = 5, 3
_NEEDED = ("cv2", "torch", "ultralytics", "onnxruntime", "openvino", "nncf", "nvidia.dali")

_EPILOG = """\b
Examples:
  sightline bench --quick
  sightline bench --images coco/val2017 --weights checkpoints/ --json bench.json
  sightline bench --quick --only served_over_in_process,letterbox_ms
  sightline bench --only p99_over_queue_model --perf-analyzer /opt/bin/perf_analyzer --json load.json
  jq '.ratios | map_values(.median)' bench.json

\b
Everything takes turns in one run, so that what else the machine does disturbs all alike; what counts is ratios. Each
contestant is a program of its own, started as bench/baselines/SCRIPT; the processor time and memory of all of its
processes are in the JSON file. A full run first finds the best settings of each. docs/benchmarks.md tells what the
figures mean.

\b
Exit status: 0 when every figure was measured, 1 when one was not (the table says why), 2 for wrong usage.
"""


@click.command(epilog=_EPILOG)
@click.option("--quick", is_flag=True, help="Fewer images and rounds, no search for the best settings: some minutes.")
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
    "--rounds", type=click.IntRange(3), help=f"Turns of each contestant; {_ROUNDS}, or {_QUICK_ROUNDS} with --quick."
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything into this file."
)
def command(json_file: Path | None, only: str | None, **choices: Any) -> None:
    """Measure Sightline on this machine beside what people use today, on the same images and weights.

    Served detectors against loops, pools, batches and other runtimes, and against their own parts without a server.
    """
    _check_installed()
    from rich.console import Console

    from sightline_bench.measure.results import write_results
    from sightline_bench.ratios.groups import GROUPS, check_keys
    from sightline_bench.run import run_groups
    from sightline_bench.table import show

    try:
        if json_file is not None:
            check_place(json_file)
        wanted = check_keys(filter(None, (only or "").split(",")))
        setting = _setting(choices)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    results = run_groups(GROUPS, setting, wanted)
    if json_file is not None:
        write_results(json_file, results)
    show(results.figures, Console())
    if json_file is not None:
        click.echo(f"everything is in {json_file}")
    raise SystemExit(EXIT_LACKING if any(each.ratio is None for each in results.figures.values()) else 0)


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


def _setting(choices: dict[str, Any]) -> Setting:
    """What the options say.

    Raises:
        InvalidOptionError: there are no pictures in the folder.
    """
    from sightline.doctor.cpu import bf16_pays, probe_cpu
    from sightline_bench.material.photos import find_images
    from sightline_bench.material.workshop import Workshop
    from sightline_bench.ratios.registry import Setting
    from sightline_export.sample import BUNDLED_FOLDER
    from sightline_server.cpu import available_cores

    def tell(line: str) -> None:
        click.echo(line, err=True)

    folder = choices["images"]
    images = find_images(folder or BUNDLED_FOLDER)
    title = (
        f"{len(images)} pictures of {folder.name}" if folder else f"the {len(images)} bundled pictures, again and again"
    )
    return Setting(
        workshop=Workshop((choices["work"] or _cache_folder()).resolve(), tell),
        images=images,
        images_title=title,
        weights=choices["weights"],
        cores=available_cores(),
        rounds=choices["rounds"] or (_QUICK_ROUNDS if choices["quick"] else _ROUNDS),
        quick=choices["quick"],
        bf16=bf16_pays(probe_cpu().features),
        tell=tell,
        perf_analyzer=choices["perf_analyzer"],
    )


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "sightline" / "bench"
