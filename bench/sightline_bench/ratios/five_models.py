"""Five checkpoints over one folder, with annotated JPEGs, beside the article's script."""

from __future__ import annotations

import shutil
from pathlib import Path

from sightline_bench.contestants import catalogue
from sightline_bench.material.exports import export_group
from sightline_bench.material.weights import Weights
from sightline_bench.material.workshop import digest_of_file
from sightline_bench.ratios.registry import Findings, Group, Key, Setting, ratio_figure
from sightline_bench.ratios.tuning import Tuner

KEYS = (Key(name="five_models_over_script", title="five models: served ÷ the article's script", target=5.6),)
_MODELS = 5
_NAMES = ("yolov8n", "yolov5nu", "yolov9t", "yolov10n", "yolo11n", "yolo26n")
"""The smallest of their families: taken where they are among the weights."""


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """A group of the five and a writer of annotated pictures, against loop after loop."""
    members, note = _five(setting)
    photos = setting.photos(quick=6, full=24)
    exported = export_group(setting.workshop, "five", members, setting.fast_precision)
    tuner = Tuner(setting, GROUP.name)
    script = catalogue.five_models(photos, members, setting.workshop.scratch("annotated-by-script"))
    contestants = [
        catalogue.served(photos, exported, output=setting.workshop.scratch("annotated-served")),
        tuner.best(script, [{"threads": threads} for threads in setting.threads], least_images=4),
    ]
    names = ", ".join(weights.file.stem for weights in members)
    about = f"{names}; {setting.images_title}, 640 x 640, an annotated JPEG for each picture and model"
    race = setting.race(GROUP.name, "five models, served and in five loops", about, contestants)
    notes = "; ".join(filter(None, [note, setting.precision_note]))
    figure = ratio_figure(KEYS[0], race, contestants[0].name, contestants[1].name, notes)
    return Findings(figures={KEYS[0].name: figure}, races=[race], sweeps=tuner.sweeps)


def _five(setting: Setting) -> tuple[list[Weights], str]:
    """Five checkpoints, and what there is to say about them."""
    first = setting.find_weights(_NAMES[0])
    given = [setting.weights / f"{name}.pt" for name in _NAMES[1:]] if setting.weights is not None else []
    others = [Weights(file.resolve()) for file in given if file.is_file()][: _MODELS - 1]
    copies = range(2, 2 + _MODELS - 1 - len(others))
    if not copies:
        return [first, *others], first.note

    def make(place: Path) -> None:
        for number in copies:
            shutil.copy(first.file, place / f"yolov8n_{number}.pt")

    made_of = [digest_of_file(first.file), str(len(copies))]
    place = setting.workshop.once("five-checkpoints", of=made_of, make=make)
    copied = [Weights(place / f"yolov8n_{number}.pt") for number in copies]
    notes = [first.note, f"{len(copies)} of the five checkpoints are copies of yolov8n under other names"]
    return [first, *others, *copied], "; ".join(filter(None, notes))


GROUP = Group(name="five models", keys=KEYS, measure=measure)
