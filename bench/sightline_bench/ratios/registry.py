"""What a figure is, and what measures it.

A group is measured at once, because its figures share contestants, and a ratio counts only within one race. To add
figures, make a `Group` whose `measure` takes a `Setting` and the keys that are wanted, and list it in `groups.GROUPS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.contract import ExportPrecision
from sightline.errors import MeasurementError
from sightline_bench.contestants.program import Recipe
from sightline_bench.contestants.race import Course, Race, Sweep, run_race
from sightline_bench.material.photos import Photos, take
from sightline_bench.material.weights import Weights, find_weights
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.results import Better, Figure
from sightline_bench.measure.rounds import Ratio

RATIO = "x"


@dataclass(frozen=True, kw_only=True)
class Key:
    """A figure that can be measured.

    Attributes:
        name: in the JSON file.
        title: for people.
        target: what to reach.
        unit: `"x"` for ratios.
        better: in which direction it is better.
    """

    name: str
    title: str
    target: float
    unit: str = RATIO
    better: Better = "higher"

    def measured(self, ratio: Ratio, setting: str, note: str = "") -> Figure:
        """The figure with what came out."""
        return self._figure(ratio, setting, note)

    def lacking(self, reason: str) -> Figure:
        """The figure without, and why."""
        return self._figure(None, "", f"not measured: {reason}")

    def _figure(self, ratio: Ratio | None, setting: str, note: str) -> Figure:
        return Figure(
            title=self.title,
            unit=self.unit,
            better=self.better,
            target=self.target,
            ratio=ratio,
            setting=setting,
            note=note,
        )


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a run measures on.

    Attributes:
        workshop: the working folder.
        images: the pictures that were given.
        images_title: what they are, such as `100 pictures of photos/`.
        weights: folder of checkpoints; None where none was given.
        cores: that this machine has for us.
        rounds: of each race.
        quick: fewer images, no sweeps.
        bf16: whether this processor computes in bf16 itself.
        tell: is told what goes on.
        perf_analyzer: the program that sends load; None looks for it, and installs it where there is none.
    """

    workshop: Workshop
    images: Sequence[Path]
    images_title: str
    weights: Path | None
    cores: int
    rounds: int
    quick: bool
    bf16: bool
    tell: Callable[[str], None]
    perf_analyzer: Path | None = None

    @property
    def fast_precision(self) -> ExportPrecision:
        """bf16 where the processor has it, as else it would be computed in fp32."""
        return "bf16" if self.bf16 else "fp32"

    @property
    def precision_note(self) -> str:
        """What to say of figures that are meant for bf16; empty where they have it."""
        return "" if self.bf16 else "meant for bf16, which this processor does not have: measured in fp32"

    @property
    def threads(self) -> list[int]:
        """Numbers of threads worth trying: all cores first, then smaller powers of two."""
        powers = [1 << exponent for exponent in range(self.cores.bit_length())]
        return sorted({*powers, self.cores}, reverse=True)

    @property
    def worker_splits(self) -> list[int]:
        """Numbers of workers worth trying that share the cores: one for each core first, then one for all."""
        return sorted({self.cores, 1}, reverse=True)

    def count(self, *, quick: int, full: int) -> int:
        """How many images."""
        return quick if self.quick else full

    def photos(self, *, quick: int, full: int) -> Photos:
        """So many of the given pictures."""
        return take(self.workshop, self.images, self.count(quick=quick, full=full))

    def find_weights(self, name: str) -> Weights:
        """A checkpoint by name; see `weights.find_weights`."""
        return find_weights(name, self.weights, self.workshop)

    def race(self, name: str, title: str, setting: str, recipes: Sequence[Recipe]) -> Race:
        """Have them take turns."""
        course = Course(name=name, title=title, setting=setting, rounds=self.rounds)
        return run_race(course, recipes, tell=self.tell)


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a group's measurement gave.

    Attributes:
        figures: of every key that was wanted.
        races: for the report.
        sweeps: likewise.
        sections: whatever else belongs into the JSON file, by name.
    """

    figures: Mapping[str, Figure]
    races: Sequence[Race] = ()
    sweeps: Sequence[Sweep] = ()
    sections: Mapping[str, Any] = field(default_factory=dict)


Measure = Callable[[Setting, frozenset[str]], Findings]
"""Gets the names of the keys that are wanted, at least one."""
Material = Callable[[], object]
"""Makes something in the working folder that a group needs, unless it is there."""


def no_materials(setting: Setting) -> Sequence[Material]:
    """Of groups that need none, or those of another group."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Group:
    """Figures that are measured together.

    Attributes:
        name: unique.
        keys: its figures.
        measure: measures those that are wanted; a SightlineError makes all of them "not measured", for its reason.
        materials: what takes long to make of what it needs; functions of a module, as processes are given the group.
    """

    name: str
    keys: tuple[Key, ...]
    measure: Measure
    materials: Callable[[Setting], Sequence[Material]] = no_materials


def ratio_figure(key: Key, race: Race, above: str, below: str, note: str = "") -> Figure:
    """The throughput of one contestant by the other's; not measured where one of them did not run."""
    try:
        ratio = race.ratio(above, below)
    except MeasurementError as error:
        return key.lacking(str(error))
    sides = " / ".join(_side(race, name) for name in (above, below))
    return key.measured(ratio, f"{sides}; {race.course.setting}", note)


def _side(race: Race, name: str) -> str:
    """A contestant, its settings, and on how many images."""
    recipe = race.recipes[name]
    settings = ", ".join(f"{option} {value}" for option, value in recipe.settings.items())
    return f"{recipe.title} ({', '.join(filter(None, [settings, f'{recipe.images} images']))})"
