"""How the scripts of bench/baselines are started."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sightline_bench.contestants.program import Recipe, baseline
from sightline_bench.material.detecto import DetectoMaterial
from sightline_bench.material.exports import Exported
from sightline_bench.material.photos import Photos
from sightline_bench.material.weights import Weights
from sightline_bench.material.workshop import QUIET_ULTRALYTICS

SERVED = "served"
_NO_GPU = {"CUDA_VISIBLE_DEVICES": ""}
"""Everybody computes on the processor: some of the scripts know nothing else."""


def served(photos: Photos, exported: Exported, *, name: str = SERVED, output: Path | None = None) -> Recipe:
    """Sightline with its default settings; with `output` it writes annotated pictures there."""
    options = ["--repository", exported.repository, "--model", exported.model]
    if output is not None:
        options += ["--output", output]
    return _recipe("served.py", name, f"Sightline, served, {exported}", photos, options)


def served_one(photos: Photos, exported: Exported, *, name: str) -> Recipe:
    """Sightline with its default settings, asked for one image at a time."""
    options = ["--repository", exported.repository, "--model", exported.model]
    return _recipe("served_one.py", name, f"Sightline, served one by one, {exported}", photos, options)


def in_process(photos: Photos, exported: Exported) -> Recipe:
    """The same parts in a loop."""
    options = ["--repository", exported.repository, "--model", exported.model]
    title = f"in-process loop, {exported}"
    return _recipe("in_process.py", "in process", title, photos, options)


def engine(photos: Photos, exported: Exported) -> Recipe:
    """The network alone on ready pictures."""
    options = ["--repository", exported.repository, "--model", exported.model]
    return _recipe("engine.py", "engine", f"engine alone, {exported}", photos, options)


def decoder(photos: Photos) -> Recipe:
    """Decoding alone."""
    return _recipe("decode.py", "decoder", "decoder alone", photos, [])


def letterbox(photos: Photos, exported: Exported, name: str) -> Recipe:
    """What the letterbox costs beyond decoding."""
    options = ["--repository", exported.repository, "--model", exported.model]
    return _recipe("letterbox.py", name, "letterbox beyond decoding, one core", photos, options)


def loop(photos: Photos, weights: Weights, *, name: str = "Ultralytics", title: str = "") -> Recipe:
    """`cv2.imread` and `predict`, one by one."""
    title = title or f"{weights.file.stem}: cv2.imread and Ultralytics predict"
    options = ["--weights", weights.file]
    return _ultralytics("ultralytics_loop.py", name, title, photos, options)


def data_loader(photos: Photos, weights: Weights) -> Recipe:
    """PyTorch's DataLoader and whole batches."""
    title = "PyTorch DataLoader and batches, 640 x 640"
    return _ultralytics("dataloader.py", "DataLoader", title, photos, ["--weights", weights.file])


def thread_pool(photos: Photos, weights: Weights, *, workers: int) -> Recipe:
    """Threads, each with its model."""
    options = ["--weights", weights.file, "--workers", workers]
    return _ultralytics("thread_pool.py", "threads", f"pool of {workers} threads", photos, options)


def process_pool(photos: Photos, weights: Weights, *, workers: int) -> Recipe:
    """Processes, each with its model."""
    options = ["--weights", weights.file, "--workers", workers]
    return _ultralytics("process_pool.py", "processes", f"pool of {workers} processes", photos, options)


def five_models(photos: Photos, weights: Sequence[Weights], output: Path) -> Recipe:
    """A loop for each model, square pictures, annotated JPEGs."""
    options = ["--output", output, "--weights", *(each.file for each in weights)]
    return _ultralytics("five_models.py", "script", "five loops, one square image at a time", photos, options)


def detecto_loop(photos: Photos, material: DetectoMaterial) -> Recipe:
    """Detecto's own predict, one by one."""
    options = ["--weights", material.file, "--classes", ",".join(material.classes)]
    recipe = _recipe("detecto_loop.py", "Detecto", "Detecto's own predict", photos, options)
    return replace(recipe, environment={**recipe.environment, "TORCH_HOME": str(material.torch_home)})


def _ultralytics(script: str, name: str, title: str, photos: Photos, options: Sequence[object]) -> Recipe:
    recipe = _recipe(script, name, title, photos, options)
    return replace(recipe, environment={**recipe.environment, **QUIET_ULTRALYTICS})


def _recipe(script: str, name: str, title: str, photos: Photos, options: Sequence[object]) -> Recipe:
    words = [baseline(script), "--images", photos.listing, *options]
    return Recipe(
        name=name,
        title=title,
        script=script,
        command=(sys.executable, *map(str, words)),
        images=photos.count,
        environment=_NO_GPU,
    )
