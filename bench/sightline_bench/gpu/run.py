"""One run of `bench/gpu.sh`: material, measurement, table, file."""

from __future__ import annotations

import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from sightline_bench.gpu.absence import SECTION, not_measured
from sightline_bench.gpu.material import Material, Sources, make_material, pack, unpack
from sightline_bench.gpu.measure import Bench, Measured, Pace, measure
from sightline_bench.gpu.outcome import figures, section
from sightline_bench.gpu.plan import Choices, Plan
from sightline_bench.gpu.report import show
from sightline_bench.gpu.smi import Watch
from sightline_bench.gpu.survey import Survey
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Results, write_results
from sightline_bench.table import show as show_figures

_NAME = "bench/gpu.sh"
_WIDTH = 150


def run(choices: Mapping[str, Any], wanted: Choices, found: Survey, plan: Plan) -> bool:
    """Measure; whether all of it was measured.

    Raises:
        SightlineError: there is no material, or the file cannot be written.
    """
    began, clock = datetime.now(timezone.utc), time.monotonic()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="sightline-gpu-") as folder:
        material = _material(choices, wanted.models, Path(folder))
        pace = Pace(rounds=choices["rounds"], seconds=choices["seconds"], served_seconds=choices["served_seconds"])
        with Watch(enabled=found.place == "gpu") as watch:
            bench = Bench(material=material, place=found.place, pace=pace, watch=watch, folder=Path(folder), tell=_tell)
            measured = measure(bench, plan)
    results = Results(
        figures=figures(measured, material, found.place, wanted.arrangements[0]),
        sections={SECTION: section(measured, plan, found, material, pace)},
        environment={**_environment(began, time.monotonic() - clock, machine), "rounds": pace.rounds},
    )
    if choices["json_file"] is not None:
        write_results(choices["json_file"], results)
    # A file has no width, and names of variants are long.
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    show(measured, plan, found.place, console)
    show_figures(results.figures, console)
    return not plan.left_out and not any(row.failure for row in _rows(measured))


def prepare(choices: Mapping[str, Any], models: Sequence[str]) -> None:
    """Make material, into a folder of its own.

    Raises:
        SightlineError: something cannot be made.
    """
    with tempfile.TemporaryDirectory(prefix="sightline-gpu-") as folder:
        pack(_material({**choices, "material": None}, models, Path(folder)), choices["prepare"])
    _tell(f"{choices['prepare']} is what --material takes")


def lay_down_nothing(reason: str, json_file: Path | None) -> None:
    """The file of a run that could not begin.

    Raises:
        OutputError: it cannot be written.
    """
    if json_file is not None:
        environment = _environment(datetime.now(timezone.utc), 0.0, describe_machine())
        write_results(json_file, Results(figures={}, sections={SECTION: not_measured(reason)}, environment=environment))


def describe_plan(plan: Plan, choices: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that would be measured, and the least time that it takes."""
    yield from (each.name for each in (*plan.alone, *plan.chains))
    yield from (f"left out: {reason}" for reason in plan.left_out)
    alone, served = len(plan.alone) * choices["seconds"], len(plan.chains) * choices["served_seconds"]
    minutes = choices["rounds"] * (alone + served) / 60
    yield f"{len(plan.alone)} alone and {len(plan.chains)} served: {minutes:.1f} minutes of passes, without loading"


def _material(choices: Mapping[str, Any], models: Sequence[str], folder: Path) -> Material:
    if choices["material"] is not None:
        return unpack(choices["material"], models)
    sources = Sources(images=choices["images"], weights=choices["weights"], repository=choices["repository"])
    workshop = Workshop((choices["work"] or folder / "work").resolve(), _tell)
    return make_material(workshop, sources, models, choices["place"])


def _rows(measured: Measured) -> Iterator[Any]:
    yield from measured.rows
    for race in measured.races:
        yield from race.rows


def _environment(began: datetime, seconds: float, machine: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "quick": False,
        "command": shlex.join([_NAME, *sys.argv[1:]]),
        "began": began.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "machine": dict(machine),
        "versions": describe_versions(),
        **describe_commit(),
    }


def _tell(line: str) -> None:
    click.echo(line, err=True)
