"""How long somebody waits who asks for one image, beside the same parts in the process."""

from __future__ import annotations

from sightline_bench.contestants import catalogue
from sightline_bench.material.exports import export_detector
from sightline_bench.measure.rounds import paired
from sightline_bench.ratios.registry import Findings, Group, Key, Setting

KEYS = (
    Key(
        name="latency_over_in_process",
        title="latency of one image at a time, served ÷ in process",
        target=1.12,
        better="lower",
    ),
)
_SERVED, _IN_PROCESS = "served one by one", "in process"


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """One race of both, an image at a time, each on all cores."""
    weights = setting.find_weights("yolov8n")
    exported = export_detector(setting.workshop, weights, setting.fast_precision)
    photos = setting.photos(quick=16, full=100)
    recipes = [
        catalogue.served_one(photos, exported, name=_SERVED),
        catalogue.in_process(photos, exported).having(workers=1, batch=1),
    ]
    about = f"yolov8n in {exported.precision}, {photos.count} of {setting.images_title}"
    race = setting.race(GROUP.name, "one image at a time", about, recipes)
    ratio = paired(race.of(_SERVED), race.of(_IN_PROCESS), lambda one: one.milliseconds_per_image)
    notes = "; ".join(filter(None, [weights.note, setting.precision_note]))
    return Findings(figures={KEYS[0].name: KEYS[0].measured(ratio, about, notes)}, races=[race])


GROUP = Group(name="latency", keys=KEYS, measure=measure)
