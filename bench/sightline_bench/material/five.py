"""Five detectors that somebody may well run over the same files: the smallest of five families."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline_bench.material.weights import Weights, find_weights
from sightline_bench.material.workshop import Workshop

FIVE = ("yolov5nu", "yolov8n", "yolov10n", "yolo11n", "yolo26n")


def five_checkpoints(folder: Path | None, workshop: Workshop, images: Sequence[Path]) -> tuple[list[Weights], str]:
    """The five, and what there is to say about them.

    In place of a missing one stands the same network with random weights, which find in these pictures about as many
    objects as trained ones do: none would leave the suppression and the pen idle, hundreds would keep them busy.

    Args:
        folder: of checkpoints; None where none was given.
        workshop: keeps those that are made.
        images: the pictures of the run.
    """
    five = [find_weights(name, folder, workshop, realistic_in=images) for name in FIVE]
    return five, "; ".join(dict.fromkeys(weights.note for weights in five if weights.note))
