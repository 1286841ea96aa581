"""The best settings of each contestant, found in sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sightline_bench.contestants.program import Recipe, Settings
from sightline_bench.contestants.race import Course, Sweep, run_sweep
from sightline_bench.measure.rounds import LEAST_ROUNDS
from sightline_bench.ratios.registry import Setting

LEAST_IMAGES = 16


class Tuner:
    """Sweeps for one group.

    Args:
        setting: of the run; a quick one takes the first candidate without a sweep.
        group: the group's name.

    Attributes:
        sweeps: those that were made.
    """

    def __init__(self, setting: Setting, group: str) -> None:
        self.sweeps: list[Sweep] = []
        self._setting = setting
        self._group = group

    def best(self, recipe: Recipe, candidates: Sequence[Settings], *, least_images: int = LEAST_IMAGES) -> Recipe:
        """The contestant with the candidate that gives the highest throughput.

        Args:
            recipe: without those settings.
            candidates: at least one; the one that is expected to be best comes first.
            least_images: how many each goes over in a turn of the sweep, or one of its batches where that is more.

        Raises:
            MeasurementError: it runs with none of them.
        """
        if self._setting.quick or len(candidates) == 1:
            return recipe.having(**candidates[0])
        images = max(least_images, *(settings.get("batch", 1) for settings in candidates))
        fewer = replace(recipe, images=min(images, recipe.images))
        course = Course(
            name=f"{self._group}: {recipe.name}",
            title=recipe.title,
            setting=f"{fewer.images} images",
            rounds=LEAST_ROUNDS,
        )
        sweep = run_sweep(course, fewer, candidates, tell=self._setting.tell)
        self.sweeps.append(sweep)
        return recipe.having(**sweep.chosen.settings)
