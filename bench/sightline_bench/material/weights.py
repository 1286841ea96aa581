"""Checkpoints: those that are given, and in place of missing ones networks of the same architecture."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from sightline_bench.material.workshop import QUIET_ULTRALYTICS, Workshop, digest_of_export, run_command, versions_of

ARCHITECTURES = {
    "yolov3-tinyu": "yolov3-tiny.yaml",
    "yolov5nu": "yolov5n.yaml",
    "yolov8n": "yolov8n.yaml",
}
"""What stands in for a checkpoint, by its name."""


@dataclass(frozen=True)
class Weights:
    """A checkpoint of Ultralytics, and what there is to say about it; empty where it is the official one."""

    file: Path
    note: str = ""


def find_weights(name: str, folder: Path | None, workshop: Workshop) -> Weights:
    """`NAME.pt` of the folder; without it, the same network with random weights, which takes as long.

    Raises:
        MeasurementError: no network could be made.
    """
    if folder is not None and (file := folder / f"{name}.pt").is_file():
        return Weights(file.resolve())
    architecture = ARCHITECTURES[name]

    def make(place: Path) -> None:
        script = Path(__file__).with_name("random_checkpoint.py")
        command = [sys.executable, str(script), architecture, str(place / f"{name}.pt")]
        run_command(command, {**os.environ, **QUIET_ULTRALYTICS})

    made_of = [architecture, digest_of_export(), versions_of("torch", "ultralytics")]
    place = workshop.once(f"{name}-random", of=made_of, make=make)
    where = f"no {name}.pt in {folder}" if folder is not None else "no --weights given"
    return Weights(place / f"{name}.pt", f"{where}: {architecture} with random weights, on both sides")
