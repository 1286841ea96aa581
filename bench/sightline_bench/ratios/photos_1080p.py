"""Photos of 1920 x 1080 beside pools of two threads and two processes."""

from __future__ import annotations

from sightline_bench.contestants import catalogue
from sightline_bench.contestants.program import Recipe
from sightline_bench.contestants.race import Race
from sightline_bench.material.exports import export_detector
from sightline_bench.material.photos import Photos, photos_of_size, take
from sightline_bench.ratios.registry import Findings, Group, Key, Setting, ratio_figure
from sightline_bench.ratios.tuning import Tuner

KEYS = (Key(name="served_over_threads_1080p", title="1080p photos: served ÷ two threads", target=3.0),)
_SIZE_HW = (1080, 1920)
_WORKERS = 2
_SERVED, _THREADS = "served", "threads"
_OF_THE_FIGURE = 100


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """100 photos; in a full run 2 and 200 as well, and a pool of processes, for the report."""
    count = setting.count(quick=48, full=_OF_THE_FIGURE)
    images = photos_of_size(setting.workshop, setting.images, count, size_hw=_SIZE_HW)
    tuner = Tuner(setting, GROUP.name)
    photos = take(setting.workshop, images, count)
    pools = _tuned_pools(setting, photos, tuner)
    others = [] if setting.quick else [2, 2 * _OF_THE_FIGURE]
    races = [_race(setting, photos, pools)]
    races += [_race(setting, take(setting.workshop, images, each), pools) for each in others]
    notes = "; ".join(filter(None, [setting.find_weights("yolov8n").note, setting.precision_note]))
    figure = ratio_figure(KEYS[0], races[0], _SERVED, _THREADS, notes)
    return Findings(figures={KEYS[0].name: figure}, races=races, sweeps=tuner.sweeps)


def _tuned_pools(setting: Setting, photos: Photos, tuner: Tuner) -> list[Recipe]:
    weights = setting.find_weights("yolov8n")
    share = max(1, setting.cores // _WORKERS)
    candidates = [{"threads": threads} for threads in dict.fromkeys([share, setting.cores])]
    pools = (catalogue.thread_pool,) if setting.quick else (catalogue.thread_pool, catalogue.process_pool)
    return [tuner.best(pool(photos, weights, workers=_WORKERS), candidates) for pool in pools]


def _race(setting: Setting, photos: Photos, pools: list[Recipe]) -> Race:
    weights = setting.find_weights("yolov8n")
    exported = export_detector(setting.workshop, weights, setting.fast_precision)
    contestants = [
        catalogue.served(photos, exported),
        *(pool.on(photos) for pool in pools),
    ]
    name = f"{photos.count} photos of 1920x1080"
    return setting.race(name, f"yolov8n, {name}: served and pools of two", "JPEGs of 1920 x 1080", contestants)


GROUP = Group(name="photos of 1920x1080", keys=KEYS, measure=measure)
