"""Checkpoints: those that are given, and in place of missing ones networks of the same architecture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.contract import DEFAULT_SCORE_THRESHOLD
from sightline_bench.material.workshop import Workshop, digest_of_export, versions_of

ARCHITECTURES = {
    "yolov3-tinyu": "yolov3-tiny.yaml",
    "yolov5nu": "yolov5n.yaml",
    "yolov8n": "yolov8n.yaml",
    "yolov8m": "yolov8m.yaml",
    "yolov10n": "yolov10n.yaml",
    "yolo11n": "yolo11n.yaml",
    "yolo26n": "yolo26n.yaml",
}
"""What stands in for a checkpoint, by its name."""


_SEED = 1
"""With 0, yolo26n gives hundreds of places of a plain picture the same score, and nobody can tell which are right."""
_LOOKED_AT = 16
"""Pictures that decide how much random weights find."""
_OBJECTS = 7
"""In a picture, on average: what yolov8n finds in COCO's photos."""
_SIDE_PIXELS = 320
_LEAST_SCORE, _HIGHEST_SCORE, _STEPS = 1e-3, 1 - 1e-6, 12
"""Higher scores are as good as 1 in FP32 and do not tell how much higher: so it goes in steps."""


@dataclass(frozen=True)
class Weights:
    """A checkpoint of Ultralytics, and what there is to say about it; empty where it is the official one."""

    file: Path
    note: str = ""


def find_weights(name: str, folder: Path | None, workshop: Workshop, *, realistic_in: Sequence[Path] = ()) -> Weights:
    """`NAME.pt` of the folder; without it, the same network with random weights, which takes as long.

    Args:
        name: of the checkpoint, one of `ARCHITECTURES`.
        folder: of checkpoints; None where none was given.
        workshop: keeps what is made.
        realistic_in: pictures in which random weights are to find about as many objects as trained ones; without any
            they find hundreds.

    Raises:
        MissingDependencyError: Ultralytics is not installed.
    """
    if folder is not None and (file := folder / f"{name}.pt").is_file():
        return Weights(file.resolve())
    architecture = ARCHITECTURES[name]
    pictures = [realistic_in[index * len(realistic_in) // _LOOKED_AT] for index in range(_LOOKED_AT) if realistic_in]

    def make(place: Path) -> None:
        _write_random(architecture, place / f"{name}.pt", pictures)

    made_of = [architecture, digest_of_export(), versions_of("torch", "ultralytics"), *map(str, pictures)]
    place = workshop.once(f"{name}-random{'-realistic' if pictures else ''}", of=made_of, make=make)
    where = f"no {name}.pt in {folder}" if folder is not None else "no --weights given"
    found = f", which find some {_OBJECTS} objects in a picture on average" if pictures else ""
    return Weights(place / f"{name}.pt", f"{where}: {architecture} with random weights{found}, on both sides")


def _write_random(architecture: str, file: Path, pictures: Sequence[Path]) -> None:
    """A checkpoint that finds something, as Ultralytics saves it."""
    import torch

    from sightline_export.sources.quiet import import_ultralytics
    from sightline_export.sources.random_weights import enliven

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_SEED)
        model = import_ultralytics().YOLO(architecture, task="detect")
        enliven(model.model)
    model.save(str(file))
    if pictures:
        _find_as_much(model, file, pictures)


def _find_as_much(model: Any, file: Path, pictures: Sequence[Path]) -> None:
    """Lower every score alike until `_OBJECTS` a picture are left.

    Args:
        model: from Ultralytics.
        file: where it was saved; it is saved there again.
        pictures: at least one.
    """
    _settle(model, pictures)
    model.save(str(file))
    for _ in range(_STEPS):
        scores = _scores(file, pictures)
        last = scores[min(len(scores), _OBJECTS * len(pictures)) - 1]
        _shift_scores(model.model.model[-1], _logit(DEFAULT_SCORE_THRESHOLD) - _logit(min(last, _HIGHEST_SCORE)))
        model.save(str(file))
        if last <= _HIGHEST_SCORE:
            return


def _settle(model: Any, pictures: Sequence[Path]) -> None:
    """Have the batch norms and the scores expect such pictures, so that objects are found in more of them."""
    import numpy as np
    import torch

    from sightline.annotate import decode_upright
    from sightline_export.pictures import fit
    from sightline_export.sources.random_weights import settle_norms, spread_scores

    scenes = np.stack([fit(decode_upright(each.read_bytes())[..., ::-1], _SIDE_PIXELS) for each in pictures])
    seen = torch.from_numpy(scenes).permute(0, 3, 1, 2).float() / 255
    settle_norms(model.model, seen)
    spread_scores(model.model, seen)


def _scores(file: Path, pictures: Sequence[Path]) -> list[float]:
    """Of all objects in all pictures, best first."""
    from sightline_export.sources.quiet import import_ultralytics

    model = import_ultralytics().YOLO(str(file), task="detect")
    results = [
        model.predict(str(each), rect=False, conf=_LEAST_SCORE, verbose=False, device="cpu") for each in pictures
    ]
    return sorted((score for (result,) in results for score in result.boxes.conf.tolist()), reverse=True)


def _shift_scores(head: Any, logits: float) -> None:
    """Move what the sigmoid makes scores of, in every branch of a head."""
    import torch

    with torch.no_grad():
        for branch in filter(None, (head.cv3, getattr(head, "one2one_cv3", None))):
            for scale in branch:
                scale[-1].bias.add_(logits)


def _logit(score: float) -> float:
    return math.log(score / (1 - score))
