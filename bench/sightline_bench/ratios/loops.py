"""Scripts that people use today, as they stand and with the number of torch's threads that suits them best."""

from __future__ import annotations

from dataclasses import replace

from sightline.errors import MeasurementError
from sightline_bench.contestants.program import Recipe
from sightline_bench.contestants.race import Race
from sightline_bench.measure.results import Figure
from sightline_bench.ratios.registry import Key, Setting, ratio_figure
from sightline_bench.ratios.tuning import LEAST_IMAGES, Tuner


def as_it_is_and_tuned(
    setting: Setting, tuner: Tuner, recipe: Recipe, *, least_images: int = LEAST_IMAGES
) -> list[Recipe]:
    """The script as it stands, which is what people run, and with the number of threads that suits it best.

    They differ, because Ultralytics computes with one core less than the machine has whatever torch was set to. A quick
    run, which sweeps nothing, has the script as it stands only.
    """
    if setting.quick:
        return [recipe]
    return [recipe, best_threads(setting, tuner, replace(recipe, name=tuned(recipe.name)), least_images=least_images)]


def best_threads(setting: Setting, tuner: Tuner, recipe: Recipe, *, least_images: int = LEAST_IMAGES) -> Recipe:
    """With the number of threads that suits it best; in a quick run with all cores."""
    return tuner.best(recipe, [{"threads": threads} for threads in setting.threads], least_images=least_images)


def tuned(name: str) -> str:
    """What the script is called with its best number of threads."""
    return f"{name}, best threads"


def script_figure(key: Key, race: Race, above: str, below: str, note: str = "") -> Figure:
    """The ratio to the script as it stands; the note has the one to the tuned script, where it takes part."""
    figure = ratio_figure(key, race, above, below)
    return replace(figure, note="; ".join(filter(None, [figure.note, _beside_tuned(race, above, tuned(below)), note])))


def _beside_tuned(race: Race, above: str, below: str) -> str:
    if below not in race.recipes:
        return ""
    threads = race.recipes[below].settings["threads"]
    try:
        ratio = race.ratio(above, below)
    except MeasurementError as error:
        return f"with torch at {threads} threads it was not measured: {error}"
    return f"÷ the same with torch at {threads} threads: {ratio.median:.2f} ({ratio.low:.2f} - {ratio.high:.2f})"
