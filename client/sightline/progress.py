"""How far a run is: a bar with images per second and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from sightline.job import Row
from sightline.sources import Sources

_SAMPLES = 40
"""Moments that a window of `Pace` remembers, at the most."""


class RunProgress:
    """The bar of one run, on stderr so that stdout stays clean; silent where stderr is no terminal."""

    def __init__(self, sources: Sources | None = None, *, console: Console | None = None) -> None:
        """Prepare the bar; with `sources` it learns the total, counted beside the run, and can tell the time left."""
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            _ImagesPerSecond(pace := Pace()),
            TimeElapsedColumn(),
            _TimeLeft(pace),
            TextColumn("{task.fields[failures]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._pace = pace
        self._task = self._progress.add_task("", total=None, failures="")
        self._failed = 0
        self._sources = sources
        self._stop_counting = threading.Event()

    def __enter__(self) -> RunProgress:
        self._pace.start()
        self._progress.start()
        if self._sources is not None and not self._progress.disable:
            threading.Thread(target=self._count, name="sightline-count", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop_counting.set()
        self._progress.stop()

    @property
    def total(self) -> int | None:
        """How many images there are; None while, or if, that is not known."""
        total = self._progress.tasks[0].total
        return None if total is None else int(total)

    def advance(self, row: Row) -> None:
        """One more image has its result or its error."""
        if row.error is not None:
            self._failed += 1
            self._progress.update(self._task, failures=f"[red]{self._failed} failed")
        self._pace.advance()
        self._progress.advance(self._task)

    def _count(self) -> None:
        assert self._sources is not None
        self._progress.update(self._task, total=self._sources.count(stop=self._stop_counting))


class Pace:
    """Images per second over the last while.

    Results come in bursts, a request's images together, so that the time between two of them says nothing: what counts
    is how many came from the window's begin until now.
    """

    def __init__(self, *, window_seconds: float = 20.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Look back `window_seconds`, by the seconds that `clock` gives."""
        self._window_seconds = window_seconds
        self._clock = clock
        self._count = 0
        self._past = deque([(clock(), 0)])

    def start(self) -> None:
        """Begin anew, now."""
        self._count = 0
        self._past = deque([(self._clock(), 0)])

    def advance(self) -> None:
        """One more image has come."""
        self._count += 1
        now = self._clock()
        if now - self._past[-1][0] >= self._window_seconds / _SAMPLES:
            self._past.append((now, self._count))

    def images_per_second(self) -> float:
        """0 before the first image."""
        now = self._clock()
        while len(self._past) > 1 and now - self._past[1][0] >= self._window_seconds:
            self._past.popleft()
        begin, count_before = self._past[0]
        return (self._count - count_before) / (now - begin) if now > begin else 0.0


class _ImagesPerSecond(ProgressColumn):
    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        """The speed over the last while."""
        speed = self._pace.images_per_second()
        return Text(f"{speed:.1f} images/s" if speed else "", style="progress.data.speed")


class _TimeLeft(ProgressColumn):
    max_refresh = 0.5

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def render(self, task: Task) -> Text:
        """Nothing while the total or the speed is unknown."""
        speed = self._pace.images_per_second()
        if task.remaining is None or not speed:
            return Text("")
        left = timedelta(seconds=round(max(0.0, task.remaining) / speed))
        return Text(f"{left} left", style="progress.remaining")
