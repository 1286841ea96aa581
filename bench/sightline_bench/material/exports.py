"""Detectors exported for a run, as `sightline export` makes them, and Ultralytics' own exports of the same weights."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sightline.contract import ExportPrecision
from sightline_bench.contestants.program import baseline
from sightline_bench.material.weights import Weights
from sightline_bench.material.workshop import (
    QUIET_ULTRALYTICS,
    Workshop,
    digest_of_export,
    digest_of_file,
    run_command,
    versions_of,
)
from sightline_export.arithmetic import INT8
from sightline_export.groups import install_group
from sightline_export.options import ExportOptions


@dataclass(frozen=True, kw_only=True)
class Exported:
    """A model that can be served.

    Attributes:
        repository: folder that holds it with its parts.
        model: its name.
        precision: of its network, or of its members' networks.
        square: whether it was told to see squares.
    """

    repository: Path
    model: str
    precision: ExportPrecision
    square: bool = False

    def __str__(self) -> str:
        return f"{self.precision}, squares" if self.square else self.precision


UltralyticsFormat = Literal["openvino", "onnx"]
_CALIBRATION_PICTURES = 32
"""They decide what an int8 network finds, not how long it takes."""


def install(source: Path, repository: Path, name: str, options: ExportOptions, calibration: Path | None = None) -> None:
    """Export a detector in this process, which so imports the heavy packages once, and without comparing it.

    Raises:
        SightlineError: as `sightline export`.
    """
    from sightline_export.exporter import export

    export(source, repository=repository, chain=None, calibration=calibration, name=name, options=options)


def export_detector(
    workshop: Workshop,
    weights: Weights,
    precision: ExportPrecision,
    *,
    images: Sequence[Path] = (),
    square: bool = False,
) -> Exported:
    """The detector of these weights, under the name of their file.

    It is not proved: `sightline export` does that for whoever uses it, and the report shows what both sides find.

    Args:
        workshop: keeps it.
        weights: a checkpoint.
        precision: of the network.
        images: pictures that an `int8` network is calibrated on.
        square: have it see squares, where by default it would see rectangles.

    Raises:
        SightlineError: the export failed.
    """
    name = weights.file.stem.replace("-", "_")
    pictures = images[:_CALIBRATION_PICTURES] if precision == INT8 else []

    def make(place: Path) -> None:
        calibration = place / "calibration" if pictures else None
        if calibration is not None:
            calibration.mkdir()
            for index, picture in enumerate(pictures):
                shutil.copy(picture, calibration / f"{index}{picture.suffix}")
        options = ExportOptions(precision=precision, rect=False if square else None)
        install(weights.file, place / "repository", name, options, calibration)

    made_of = [digest_of_file(weights.file), precision, digest_of_export(), *map(str, pictures)]
    place = workshop.once(f"{name}-{precision}{'-square' if square else ''}", of=made_of, make=make)
    return Exported(repository=place / "repository", model=name, precision=precision, square=square)


def export_group(workshop: Workshop, name: str, members: Sequence[Weights], precision: ExportPrecision) -> Exported:
    """A group of that name.

    Raises:
        SightlineError: an export failed.
    """
    names = [weights.file.stem for weights in members]

    def make(place: Path) -> None:
        repository = place / "repository"
        for weights in members:
            install(weights.file, repository, weights.file.stem, ExportOptions(precision=precision))
        install_group(repository, name, names)

    made_of = [*(digest_of_file(each.file) for each in members), *names, precision, digest_of_export()]
    place = workshop.once(f"{name}-{precision}", of=made_of, make=make)
    return Exported(repository=place / "repository", model=name, precision=precision)


def export_by_ultralytics(workshop: Workshop, weights: Weights, kind: UltralyticsFormat) -> Weights:
    """Ultralytics' own export, with its defaults.

    Raises:
        MeasurementError: it failed.
    """
    packages = {"openvino": "openvino", "onnx": "onnxruntime"}
    name = f"{weights.file.stem}-ultralytics-{kind}"

    def make(place: Path) -> None:
        options = ["--weights", str(weights.file), "--format", kind, "--folder", str(place)]
        command = [sys.executable, str(baseline("ultralytics_export.py")), *options]
        made = run_command(command, {**os.environ, **QUIET_ULTRALYTICS}).strip().splitlines()[-1]
        (place / "made.txt").write_text(Path(made).name, encoding="utf-8")

    made_of = [digest_of_file(weights.file), versions_of("torch", "ultralytics", packages[kind])]
    place = workshop.once(name, of=made_of, make=make)
    return Weights(place / (place / "made.txt").read_text(encoding="utf-8"), weights.note)
