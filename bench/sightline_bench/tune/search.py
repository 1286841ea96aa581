"""Goes through the axes one after the other and takes what is better by more than the spread.

On each axis all challengers take turns with the champion (A B C, C B A, …); the best of them then meets the champion
again, in turns that decide alone: whoever was chosen for being lucky has to be lucky again. It is taken where it is
better in every one of those rounds, and by a few per cent in the middle one. At the end what was found meets the
setup that the search began with, under the same rule. So noise leaves everything as it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

from sightline.detections import Detections
from sightline.errors import SightlineError
from sightline.parity import compare
from sightline_bench.measure.rounds import LEAST_ROUNDS, Figure, Pass, Ratio, paired, take_turns
from sightline_bench.tune.setups import Axis, Setup

FINAL_ROUNDS = 5
LEAST_GAIN = 0.02
"""Of the middle round, to be worth another configuration."""
_SAME_IOU, _SAME_SCORE = 0.99, 0.005
_CHAMPION = "as it is"
Tell = Callable[[str], None]


class Contestant(Protocol):
    """A setup that is served; see `trial.Trial`."""

    name: str
    setup: Setup
    images: int

    @property
    def found(self) -> Mapping[str, Detections]:
        """What it finds in each image."""
        ...

    def calibrate(self) -> None:
        """Choose the images of a pass."""
        ...

    def one_pass(self) -> Pass:
        """Go over the images once."""
        ...

    def close(self) -> None:
        """End it."""
        ...


Open = Callable[[str, Setup, Contestant], Contestant]
"""Serves a setup under a name; the champion may lend its server."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What came out for one setup in one comparison.

    Attributes:
        axis: what was varied.
        setting: what the setup has that the champion has not; of the champion, that it is.
        passes: one a round; none where it could not be served.
        against: its figure by that of the champion, round by round, better where above 1; None of the champion.
        verdict: what became of it.
        taken: whether it is the champion from here on.
    """

    axis: str
    setting: str
    passes: tuple[Pass, ...]
    against: Ratio | None
    verdict: str
    taken: bool = False


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a search found.

    Attributes:
        start: what it began with.
        best: what is better than that by more than the spread; `start` where nothing is.
        batch_size: images in a request with which the client that streams is fastest.
        rows: everything that was compared, in order.
        left_out: what there was no time for.
        gain: `best` by `start` in the comparison at the end; None where they are the same.
    """

    start: Setup
    best: Setup
    batch_size: int
    rows: tuple[Row, ...]
    left_out: tuple[str, ...]
    gain: Ratio | None


def search(  # noqa: PLR0913 - what it works with
    start: Contestant,
    axes: Sequence[Axis],
    *,
    open_trial: Open,
    opening_seconds: float,
    figure: Figure,
    seconds: float,
    tell: Tell,
    clock: Callable[[], float] = time.monotonic,
) -> Outcome:
    """Search for about so many seconds.

    Args:
        start: what is served now.
        axes: what to vary; those of the client come last.
        open_trial: serves a setup.
        opening_seconds: that this takes.
        figure: of a pass; more is better.
        seconds: no comparison begins that would probably end later.
        tell: is told each step.
        clock: seconds.

    Raises:
        SightlineError: an image failed.
    """
    with ExitStack() as stack:
        budget = _Budget(clock, seconds, opening=opening_seconds)
        return _Search(stack, start, open_trial, figure, budget, tell).run(axes)


@dataclass
class _Budget:
    """What time there is, and what things take, as far as it has been seen."""

    clock: Callable[[], float]
    seconds: float
    opening: float
    one_pass: float = 0.0
    begun: float = field(init=False)

    def __post_init__(self) -> None:
        self.begun = self.clock()

    @property
    def left(self) -> float:
        return self.seconds - (self.clock() - self.begun)

    def affordable(self, challengers: int) -> int:
        """How many of the challengers there is time for, with the decision and the comparison at the end."""
        final = 2 * FINAL_ROUNDS * self.one_pass
        first = LEAST_ROUNDS * self.one_pass
        each = self.opening + self.one_pass + first
        return max(0, min(challengers, int((self.left - 2 * final - first) / each)))


class _Search:
    def __init__(  # noqa: PLR0913, PLR0917 - what it works with
        self, stack: ExitStack, start: Contestant, open_trial: Open, figure: Figure, budget: _Budget, tell: Tell
    ) -> None:
        self._stack, self._open_trial, self._figure, self._budget, self._tell = stack, open_trial, figure, budget, tell
        self._rows: list[Row] = []
        self._left_out: list[str] = []
        self._start = self._champion = start
        start.name = _CHAMPION
        self._start.calibrate()
        warm = self._start.one_pass()
        budget.one_pass = warm.seconds
        tell(f"{self._start.images} images in a pass, {warm.images_per_second:.1f} images/s")

    def run(self, axes: Sequence[Axis]) -> Outcome:
        for axis in axes:
            if axis.settled:
                self._champion = self._compare(axis)
        gain = self._confirm()
        best = self._champion
        for axis in axes:
            if not axis.settled:
                self._champion = self._compare(axis)
        return Outcome(
            start=self._start.setup,
            best=best.setup,
            batch_size=self._champion.setup.batch_size,
            rows=tuple(self._rows),
            left_out=tuple(self._left_out),
            gain=gain,
        )

    def _compare(self, axis: Axis) -> Contestant:
        """The champion from here on."""
        setups = axis.challengers(self._champion.setup)
        count = self._budget.affordable(len(setups))
        words = [setup.words(self._champion.setup) for setup in setups]
        if count < len(setups):
            self._left_out.append(f"{axis.title} ({'; '.join(words[count:])})")
        with ExitStack() as stack:
            opened = [self._open(axis, setup, stack) for setup in setups[:count]]
            challengers = [each for each in opened if each is not None]
            best = self._first_look(axis, challengers)
            if best is None or not self._decide(axis.title, best, self._champion):
                return self._champion
            stack.pop_all()  # one of them is needed, and a server that idles costs nothing but memory
            for other in challengers:
                if other is not best:
                    other.close()
        if axis.settled and self._champion is not self._start:
            self._champion.close()
        return self._keep(best)

    def _open(self, axis: Axis, setup: Setup, stack: ExitStack) -> Contestant | None:
        """A challenger that is warm; None where it cannot be served, or does not find what the start finds."""
        setting = setup.words(self._champion.setup)
        self._tell(f"{axis.title}: {setting}")
        begun = self._budget.clock()
        try:
            trial = self._open_trial(setting, setup, self._champion)
            stack.callback(trial.close)
            self._budget.opening = max(self._budget.opening, self._budget.clock() - begun)
            if difference := _difference(self._start.found, trial.found):
                self._add(axis.title, setting, (), None, f"refused: {difference}")
                return None
            trial.images = self._start.images
            trial.one_pass()
        except SightlineError as error:
            self._add(axis.title, setting, (), None, f"cannot be served: {error}")
            return None
        return trial

    def _first_look(self, axis: Axis, challengers: Sequence[Contestant]) -> Contestant | None:
        """The challenger that looks best; None where none looks better than the champion."""
        if not challengers:
            return None
        passes = self._turns([self._champion, *challengers], LEAST_ROUNDS)
        champion = passes[self._champion.name]
        ratios = {each.name: paired(passes[each.name], champion, self._figure) for each in challengers}
        best = max(challengers, key=lambda each: ratios[each.name].median)
        hopeful = ratios[best.name].median > 1
        self._add(axis.title, _CHAMPION, champion, None, "")
        for each in challengers:
            verdict = "no better" if ratios[each.name].median <= 1 else "looks best" if each is best else "not the best"
            self._add(axis.title, each.name, passes[each.name], ratios[each.name], verdict)
        return best if hopeful else None

    def _decide(self, title: str, challenger: Contestant, champion: Contestant) -> bool:
        """Whether the challenger is better by more than the spread."""
        self._tell(f"{title}: {challenger.name} once more")
        passes = self._turns([champion, challenger], FINAL_ROUNDS)
        ratio = paired(passes[challenger.name], passes[champion.name], self._figure)
        taken = ratio.low > 1 and ratio.median >= 1 + LEAST_GAIN
        self._add(title, f"{champion.name}, again", passes[champion.name], None, "")
        verdict = "taken" if taken else "within the spread" if ratio.high > 1 else "no better"
        self._add(title, f"{challenger.name}, again", passes[challenger.name], ratio, verdict, taken=taken)
        return taken

    def _confirm(self) -> Ratio | None:
        """Compare what was found with the start; it is dropped where it is not better after all."""
        if self._champion is self._start:
            return None
        name, self._champion.name = self._champion.name, self._champion.setup.words(self._start.setup)
        self._start.name = "as it was"
        taken = self._decide("all together", self._champion, self._start)
        ratio = self._rows[-1].against
        if not taken:
            self._tell(f"{name} is no better than the beginning after all")
            self._champion = self._start
            ratio = None
        self._champion.name = _CHAMPION
        return ratio

    def _turns(self, contestants: Sequence[Contestant], rounds: int) -> Mapping[str, Sequence[Pass]]:
        passes = take_turns(contestants, rounds=rounds)
        longest = max(one.seconds for each in passes.values() for one in each)
        self._budget.one_pass = max(self._budget.one_pass, longest)
        return passes

    def _keep(self, trial: Contestant) -> Contestant:
        """Let it live until the end of the search, as the champion."""
        trial.name = _CHAMPION
        self._stack.callback(trial.close)
        return trial

    def _add(  # noqa: PLR0913 - the fields of a row
        self,
        axis: str,
        setting: str,
        passes: Sequence[Pass],
        against: Ratio | None,
        verdict: str,
        *,
        taken: bool = False,
    ) -> None:
        self._rows.append(
            Row(axis=axis, setting=setting, passes=tuple(passes), against=against, verdict=verdict, taken=taken)
        )


def _difference(start: Mapping[str, Detections], found: Mapping[str, Detections]) -> str:
    """How a setup's detections differ from those of the start; empty where they are the same, for people."""
    report = compare(start, found)
    if report.count("missing") or report.count("extra"):
        return f"it misses {report.count('missing')} detections and has {report.count('extra')} others"
    if report.worst_iou < _SAME_IOU or report.worst_score_difference > _SAME_SCORE:
        return f"its boxes differ (IoU {report.worst_iou:.3f}, scores by {report.worst_score_difference:.3f})"
    return ""
