"""Contestants take turns, so that a busy machine disturbs them alike; what counts is ratios within one round."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from sightline.errors import InvalidOptionError

LEAST_ROUNDS = 3
"""Fewer say nothing about the spread."""


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one contestant did in one turn.

    Attributes:
        images: how many it worked on.
        seconds: by the clock.
        cpu_seconds: processor time of all of its processes.
        found: objects in all images together; None where it finds none by its nature, such as a bare decoder.
        details: figures that it took itself, by name.
    """

    images: int
    seconds: float
    cpu_seconds: float
    found: int | None = None
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.images / self.seconds

    @property
    def milliseconds_per_image(self) -> float:
        """By the clock."""
        return 1000 * self.seconds / self.images


class Contestant(Protocol):
    """Something that can go over its images again and again."""

    @property
    def name(self) -> str:
        """Unique among those that it is compared with."""
        ...

    def one_pass(self) -> Pass:
        """Go over the images once."""
        ...


Passes = Mapping[str, Sequence[Pass]]
"""Of each contestant by name, one a round, in order."""
Figure = Callable[[Pass], float]


def take_turns(
    contestants: Sequence[Contestant], *, rounds: int, watch: Callable[[str, int, Pass], None] | None = None
) -> dict[str, list[Pass]]:
    """A pass of each in every round, A B B A …: whoever comes first in one round comes last in the next.

    Args:
        contestants: with different names.
        rounds: at least `LEAST_ROUNDS`.
        watch: called after each pass with the name, the round from 0 on, and the pass.

    Raises:
        InvalidOptionError: the names are not unique, or the rounds are too few.
    """
    passes: dict[str, list[Pass]] = {contestant.name: [] for contestant in contestants}
    if len(passes) < len(contestants):
        raise InvalidOptionError(f"contestants need different names: {', '.join(each.name for each in contestants)}")
    for number in range(check_rounds(rounds)):
        for contestant in contestants if number % 2 == 0 else reversed(contestants):
            came = contestant.one_pass()
            passes[contestant.name].append(came)
            if watch is not None:
                watch(contestant.name, number, came)
    return passes


def check_rounds(rounds: int) -> int:
    """`rounds` itself.

    Raises:
        InvalidOptionError: they are too few.
    """
    if rounds < LEAST_ROUNDS:
        raise InvalidOptionError(f"rounds is {rounds}; at least {LEAST_ROUNDS} are needed to see a spread")
    return rounds


@dataclass(frozen=True)
class Ratio:
    """A figure that was taken in every round: a ratio, or an absolute one such as milliseconds.

    Attributes:
        runs: its value in each round, in order; at least one.

    Raises:
        InvalidOptionError: there is none.
    """

    runs: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.runs:
            raise InvalidOptionError("a figure needs at least one run")

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.runs)

    @property
    def low(self) -> float:
        """The lowest."""
        return min(self.runs)

    @property
    def high(self) -> float:
        """The highest."""
        return max(self.runs)


def throughput(one: Pass) -> float:
    """The figure of `paired` by default: images per second."""
    return one.images_per_second


def paired(above: Sequence[Pass], below: Sequence[Pass], figure: Figure = throughput) -> Ratio:
    """One contestant's figure by the other's, round by round.

    Raises:
        ValueError: they have not as many rounds.
    """
    return Ratio(tuple(figure(over) / figure(under) for over, under in zip(above, below, strict=True)))


def best(passes: Passes, names: Sequence[str]) -> str:
    """Whichever of `names` has the highest median throughput."""
    return max(names, key=lambda name: statistics.median(map(throughput, passes[name])))


def as_json(passes: Passes) -> dict[str, list[dict[str, Any]]]:
    """Every pass, by contestant."""
    return {name: [asdict(each) for each in came] for name, came in passes.items()}
