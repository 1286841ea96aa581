"""Programs that take turns, and one option of a program at several values."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.contestants.program import ProcessUse, Program, Recipe, Settings
from sightline_bench.measure.rounds import Pass, Ratio, as_json, best, paired, take_turns, throughput

Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Course:
    """What a race is about.

    Attributes:
        name: unique in a run.
        title: what is compared, for people.
        setting: images, shapes, precision.
        rounds: how often everybody's turn comes.
    """

    name: str
    title: str
    setting: str
    rounds: int


@dataclass(frozen=True, kw_only=True)
class Race:
    """Programs that took turns.

    Attributes:
        course: what it was about.
        recipes: who took part, by name.
        passes: of those that ran.
        peak_bytes: most memory of each with all below it, in the pass that was not timed.
        failures: why the others did not run.
        processes: what each process of each that ran has used.
    """

    course: Course
    recipes: Mapping[str, Recipe]
    passes: Mapping[str, Sequence[Pass]]
    peak_bytes: Mapping[str, int]
    failures: Mapping[str, str] = field(default_factory=dict)
    processes: Mapping[str, Sequence[ProcessUse]] = field(default_factory=dict)

    def of(self, name: str) -> Sequence[Pass]:
        """The passes of one.

        Raises:
            MeasurementError: it did not run.
        """
        if name in self.failures:
            raise MeasurementError(self.failures[name])
        return self.passes[name]

    def ratio(self, above: str, below: str) -> Ratio:
        """Throughput of one by that of the other, round by round.

        Raises:
            MeasurementError: one of them did not run.
        """
        return paired(self.of(above), self.of(below))

    def as_json(self) -> dict[str, Any]:
        """As `measure.results` describes it."""
        passes = as_json(self.passes)
        contestants = {
            name: {
                "title": recipe.title,
                "script": recipe.script,
                "settings": dict(recipe.settings),
                "peak_memory_bytes": self.peak_bytes.get(name),
                "processes": [asdict(each) for each in self.processes.get(name, [])],
                "failure": self.failures.get(name, ""),
                "passes": passes.get(name, []),
            }
            for name, recipe in self.recipes.items()
        }
        return {**asdict(self.course), "contestants": contestants}


def run_race(course: Course, recipes: Sequence[Recipe], *, tell: Tell) -> Race:
    """Start all, warm each up with its memory watched, then let them take turns.

    One that does not load is left out, and the race says why.

    Raises:
        MeasurementError: one failed in the midst of the race, or none loaded.
    """
    failures: dict[str, str] = {}
    with ExitStack() as stack:
        programs = []
        for program in [stack.enter_context(Program(recipe)) for recipe in recipes]:
            try:
                program.wait_until_ready()
                programs.append(program)
            except MeasurementError as error:
                tell(f"{course.name}: {error}")
                failures[program.name] = str(error)
        if not programs:
            raise MeasurementError(f"{course.name}: nobody could run: {'; '.join(failures.values())}")
        peaks = {program.name: program.warm_up().total for program in programs}
        passes = take_turns(programs, rounds=course.rounds, watch=lambda *turn: tell(_line(course.name, *turn)))
        processes = {program.name: program.processes() for program in programs}
        for program in programs:
            program.let_go()
    return Race(
        course=course,
        recipes={recipe.name: recipe for recipe in recipes},
        passes=passes,
        peak_bytes=peaks,
        failures=failures,
        processes=processes,
    )


def _line(race: str, contestant: str, number: int, came: Pass) -> str:
    found = "" if came.found is None else f", {came.found} objects"
    cores = came.cpu_seconds / came.seconds if came.seconds else 0.0
    return (
        f"{race}, round {number + 1}: {contestant:<24} {came.images_per_second:8.2f} images/s, {cores:.2f} cores busy "
        f"({came.images} images{found})"
    )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One contestant with an option at several values.

    Attributes:
        race: of the values; its contestants are named by what was set, such as `threads 2`.
        chosen: the contestant with those that gave the highest throughput.
    """

    race: Race
    chosen: Recipe

    def as_json(self) -> dict[str, Any]:
        """As `measure.results` describes it."""
        rows = [
            {
                "value": value,
                "settings": dict(self.race.recipes[value].settings),
                "images_per_second": statistics.median(map(throughput, passes)),
                "runs": list(map(throughput, passes)),
                "chosen": self.race.recipes[value].settings == self.chosen.settings,
            }
            for value, passes in self.race.passes.items()
        ]
        race = self.race
        return {
            **asdict(race.course),
            "unit": "images/s",
            "rows": rows,
            "failures": dict(race.failures),
        }


def run_sweep(course: Course, recipe: Recipe, candidates: Sequence[Settings], *, tell: Tell) -> Sweep:
    """Race a contestant with different settings, all of them alive at once.

    Raises:
        MeasurementError: none of the values ran.
    """
    variants = [replace(recipe.having(**settings), name=_words(settings)) for settings in candidates]
    race = run_race(course, variants, tell=tell)
    winner = race.recipes[best(race.passes, list(race.passes))]
    return Sweep(race=race, chosen=replace(winner, name=recipe.name))


def _words(settings: Settings) -> str:
    return ", ".join(f"{option} {value}" for option, value in settings.items())
