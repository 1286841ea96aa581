"""Five checkpoints over one folder, with annotated JPEGs, beside the article's script."""

from __future__ import annotations

from functools import partial

from sightline_bench.contestants import catalogue
from sightline_bench.material.exports import Exported, export_group
from sightline_bench.material.five import five_checkpoints
from sightline_bench.material.weights import Weights
from sightline_bench.ratios.loops import as_it_is_and_tuned, script_figure
from sightline_bench.ratios.registry import Findings, Group, Key, Material, Setting
from sightline_bench.ratios.tuning import Tuner

KEYS = (Key(name="five_models_over_script", title="five models: served ÷ the article's script", target=5.6),)


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """A group of the five and a writer of annotated pictures, against loop after loop."""
    members, note = _members(setting)
    photos = setting.photos(quick=6, full=16)
    exported = _export(setting)
    tuner = Tuner(setting, GROUP.name)
    script = catalogue.five_models(photos, members, setting.workshop.scratch("annotated-by-script"))
    contestants = [
        catalogue.served(photos, exported, output=setting.workshop.scratch("annotated-served")),
        *as_it_is_and_tuned(setting, tuner, script, least_images=4),
    ]
    names = ", ".join(weights.file.stem for weights in members)
    about = f"{names}; {setting.images_title}, 640 x 640, an annotated JPEG of quality 95 for each picture and model"
    race = setting.race(GROUP.name, "five models, served and in five loops", about, contestants)
    notes = "; ".join(filter(None, [note, setting.precision_note]))
    figure = script_figure(KEYS[0], race, contestants[0].name, script.name, notes)
    return Findings(figures={KEYS[0].name: figure}, races=[race], sweeps=tuner.sweeps)


def materials(setting: Setting) -> list[Material]:
    """The group."""
    return [partial(_export, setting)]


def _members(setting: Setting) -> tuple[list[Weights], str]:
    return five_checkpoints(setting.weights, setting.workshop, setting.images)


def _export(setting: Setting) -> Exported:
    return export_group(setting.workshop, "five", _members(setting)[0], setting.fast_precision)


GROUP = Group(name="five models", keys=KEYS, measure=measure, materials=materials)
