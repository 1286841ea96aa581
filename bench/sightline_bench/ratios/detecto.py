"""Detecto beside its own predict."""

from __future__ import annotations

from functools import partial

from sightline_bench.contestants import catalogue
from sightline_bench.material.detecto import export_detecto, make_detecto
from sightline_bench.material.exports import Exported
from sightline_bench.ratios.loops import best_threads
from sightline_bench.ratios.registry import Findings, Group, Key, Material, Setting, ratio_figure
from sightline_bench.ratios.tuning import Tuner

KEYS = (Key(name="served_over_detecto", title="Detecto: served ÷ its own predict", target=1.5),)


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """Few images: each takes seconds."""
    material = make_detecto(setting.workshop)
    photos = setting.photos(quick=2, full=4)
    tuner = Tuner(setting, GROUP.name)
    loop = catalogue.detecto_loop(photos, material)
    contestants = [
        catalogue.served(photos, _export(setting)),
        best_threads(setting, tuner, loop, least_images=2),
    ]
    about = f"{setting.images_title}, shorter side 800 pixels or longer side 1333"
    race = setting.race(GROUP.name, "Detecto, served and by itself", about, contestants)
    note = "Faster R-CNN with random weights, on both sides"
    figure = ratio_figure(KEYS[0], race, contestants[0].name, contestants[1].name, note)
    return Findings(figures={KEYS[0].name: figure}, races=[race], sweeps=tuner.sweeps)


def materials(setting: Setting) -> list[Material]:
    """The detector."""
    return [partial(_export, setting)]


def _export(setting: Setting) -> Exported:
    return export_detecto(setting.workshop, make_detecto(setting.workshop))


GROUP = Group(name="detecto", keys=KEYS, measure=measure, materials=materials)
