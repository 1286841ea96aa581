"""Checkpoints: those that are given, and in place of missing ones networks of the same architecture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline_bench.material.workshop import Workshop, digest_of_export, versions_of

ARCHITECTURES = {
    "yolov3-tinyu": "yolov3-tiny.yaml",
    "yolov5nu": "yolov5n.yaml",
    "yolov8n": "yolov8n.yaml",
    "yolov8m": "yolov8m.yaml",
}
"""What stands in for a checkpoint, by its name."""


_SEED = 0


@dataclass(frozen=True)
class Weights:
    """A checkpoint of Ultralytics, and what there is to say about it; empty where it is the official one."""

    file: Path
    note: str = ""


def find_weights(name: str, folder: Path | None, workshop: Workshop) -> Weights:
    """`NAME.pt` of the folder; without it, the same network with random weights, which takes as long.

    Raises:
        MissingDependencyError: Ultralytics is not installed.
    """
    if folder is not None and (file := folder / f"{name}.pt").is_file():
        return Weights(file.resolve())
    architecture = ARCHITECTURES[name]

    def make(place: Path) -> None:
        _write_random(architecture, place / f"{name}.pt")

    made_of = [architecture, digest_of_export(), versions_of("torch", "ultralytics")]
    place = workshop.once(f"{name}-random", of=made_of, make=make)
    where = f"no {name}.pt in {folder}" if folder is not None else "no --weights given"
    return Weights(place / f"{name}.pt", f"{where}: {architecture} with random weights, on both sides")


def _write_random(architecture: str, file: Path) -> None:
    """A checkpoint that finds something, as Ultralytics saves it."""
    import torch

    from sightline_export.sources.quiet import import_ultralytics
    from sightline_export.sources.random_weights import enliven

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = import_ultralytics().YOLO(architecture, task="detect")
        enliven(model.model)
    model.save(str(file))
