"""YOLOv3-tiny and YOLOv5n beside the loop of the tutorials."""

from __future__ import annotations

from functools import partial

from sightline_bench.contestants import catalogue
from sightline_bench.contestants.race import Race
from sightline_bench.material.exports import Exported, export_detector
from sightline_bench.material.weights import Weights
from sightline_bench.ratios.loops import as_it_is_and_tuned, script_figure
from sightline_bench.ratios.registry import Findings, Group, Key, Material, Setting
from sightline_bench.ratios.tuning import Tuner

KEYS = (Key(name="served_over_yolov3_script", title="YOLOv3-tiny: served ÷ the article's loop", target=2.0),)
_SERVED, _LOOP = "served", "loop"
_NAMES = ("yolov3-tinyu", "yolov5nu")


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """YOLOv3; in a full run YOLOv5 as well, for the report."""
    tuner = Tuner(setting, GROUP.name)
    weights = setting.find_weights("yolov3-tinyu")
    races = [_race(setting, weights, tuner)]
    if not setting.quick:
        races.append(_race(setting, setting.find_weights("yolov5nu"), tuner))
    notes = "; ".join(filter(None, [weights.note, setting.precision_note]))
    figure = script_figure(KEYS[0], races[0], _SERVED, _LOOP, notes)
    return Findings(figures={KEYS[0].name: figure}, races=races, sweeps=tuner.sweeps)


def _race(setting: Setting, weights: Weights, tuner: Tuner) -> Race:
    exported = _export(setting, weights.file.stem)
    loop = catalogue.loop(setting.photos(quick=6, full=30), weights, name=_LOOP)
    contestants = [
        catalogue.served(setting.photos(quick=12, full=60), exported),
        *as_it_is_and_tuned(setting, tuner, loop, least_images=8),
    ]
    name = weights.file.stem
    return setting.race(name, f"{name}, served and in a loop", setting.images_title, contestants)


def materials(setting: Setting) -> list[Material]:
    """The detectors."""
    return [partial(_export, setting, name) for name in (_NAMES[:1] if setting.quick else _NAMES)]


def _export(setting: Setting, name: str) -> Exported:
    return export_detector(setting.workshop, setting.find_weights(name), setting.fast_precision)


GROUP = Group(name="yolov3", keys=KEYS, measure=measure, materials=materials)
