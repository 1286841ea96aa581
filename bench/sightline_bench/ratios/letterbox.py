"""What the letterbox costs beyond decoding."""

from __future__ import annotations

from sightline_bench.contestants import catalogue
from sightline_bench.material.exports import export_detector
from sightline_bench.material.photos import photos_of_size, take
from sightline_bench.measure.results import Figure
from sightline_bench.measure.rounds import Ratio
from sightline_bench.ratios.registry import Findings, Group, Key, Setting

_DETAIL = "letterbox_ms"
_SIZES_HW = {"letterbox_ms": (480, 640), "letterbox_1080p_ms": (1080, 1920)}
KEYS = (
    Key(name="letterbox_ms", title="letterbox beyond decoding, 640x480", target=0.7, unit="ms", better="lower"),
    Key(name="letterbox_1080p_ms", title="letterbox beyond decoding, 1080p", target=1.5, unit="ms", better="lower"),
)


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """Each size in a race of its own: its two sides take turns within one process."""
    exported = export_detector(setting.workshop, setting.find_weights("yolov8n"), "fp32")
    figures: dict[str, Figure] = {}
    races = []
    for key in (key for key in KEYS if key.name in wanted):
        height, width = _SIZES_HW[key.name]
        count = setting.count(quick=32, full=64)
        images = photos_of_size(setting.workshop, setting.images, count, size_hw=(height, width))
        recipe = catalogue.letterbox(take(setting.workshop, images, count), exported, key.name)
        about = f"{count} JPEGs of {width} x {height}, 8 at a time, processor time of one core"
        race = setting.race(key.name, key.title, about, [recipe])
        ratio = Ratio(tuple(each.details[_DETAIL] for each in race.of(key.name)))
        figures[key.name] = key.measured(ratio, about)
        races.append(race)
    return Findings(figures=figures, races=races)


GROUP = Group(name="letterbox", keys=KEYS, measure=measure)
