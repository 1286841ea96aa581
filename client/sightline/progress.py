"""How far a run is: a bar with images per second and time left on a terminal, nothing elsewhere."""

from __future__ import annotations

import threading
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
    TimeRemainingColumn,
)
from rich.text import Text

from sightline.job import Row
from sightline.sources import Sources


class RunProgress:
    """The bar of one run, on stderr so that stdout stays clean; silent where stderr is no terminal."""

    def __init__(self, sources: Sources | None = None, *, console: Console | None = None) -> None:
        """Prepare the bar; with `sources` it learns the total, counted beside the run, and can tell the time left."""
        self._console = console or Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            BarColumn(),
            MofNCompleteColumn(),
            _ImagesPerSecond(),
            TimeElapsedColumn(),
            _TimeLeft(),
            TextColumn("{task.fields[failures]}"),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._progress.add_task("", total=None, failures="")
        self._failed = 0
        self._sources = sources
        self._stop_counting = threading.Event()

    def __enter__(self) -> RunProgress:
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
        self._progress.advance(self._task)

    def _count(self) -> None:
        assert self._sources is not None
        self._progress.update(self._task, total=self._sources.count(stop=self._stop_counting))


class _ImagesPerSecond(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The speed over the last half minute."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f} images/s" if speed else "", style="progress.data.speed")


class _TimeLeft(TimeRemainingColumn):
    def render(self, task: Task) -> Text:
        """Nothing while the total is unknown."""
        return Text("") if task.total is None else super().render(task) + Text(" left")
