"""One run over many images: results from the stream into the writers, with progress, whatever single images do."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sightline.detections import Result, Source
from sightline.errors import SightlineError
from sightline.sources import Sources
from sightline.writers import WriterPool


@dataclass(frozen=True)
class Row:
    """One image in a table of results.

    Attributes:
        source: where it came from.
        objects: how many were found; 0 where it failed.
        best_score: 0 to 1; None where nothing was found.
        milliseconds: duration of the request that carried it; None where nothing was sent.
        error: why it failed; None where it did not.
    """

    source: Source
    objects: int
    best_score: float | None
    milliseconds: float | None
    error: SightlineError | None

    @classmethod
    def of(cls, result: Result) -> Row:
        """The row of one result."""
        scores = [] if result.detections is None else result.detections.scores.tolist()
        return cls(result.source, len(scores), max(scores, default=None), result.milliseconds, result.error)


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """What became of a run.

    Attributes:
        done: images that have their result, completely written.
        failed: images, and arguments that led to none, that have an error instead.
        seconds: from the first image to the last write.
        objects: how many of each class were found, by name.
        interrupted: whether Ctrl-C ended the run early.
        unlogged: failures that not even `errors.jsonl` could take, for people to read.
    """

    done: int
    failed: int
    seconds: float
    objects: Counter[str]
    interrupted: bool
    unlogged: Sequence[str]

    @property
    def images_per_second(self) -> float:
        """Done and failed images, by time."""
        return (self.done + self.failed) / self.seconds if self.seconds else 0.0

    def summary(self) -> str:
        """For people: `187 done, 3 failed in 12.3 s (15.4 images/s); 412 objects: 300 person, 112 car`."""
        counts = f"{self.done:,} done" + (f", {self.failed:,} failed" if self.failed else "")
        text = f"{counts} in {self.seconds:.1f} s ({self.images_per_second:.1f} images/s)"
        found = ", ".join(f"{number:,} {name}" for name, number in self.objects.most_common(_NAMED_CLASSES))
        more = f" and {len(self.objects) - _NAMED_CLASSES} more classes" if len(self.objects) > _NAMED_CLASSES else ""
        return f"{text}; {self.objects.total():,} objects" + (f": {found}{more}" if found else "")


_NAMED_CLASSES = 5


def run(
    results: Iterable[Result],
    *,
    pool: WriterPool,
    sources: Sources | None = None,
    classes: Sequence[str] = (),
    watchers: Sequence[Callable[[Row], None]] = (),
) -> JobReport:
    """Write every result, and tell what became of the images.

    Ctrl-C ends the run early and properly: what has come is written, and the report says that it was interrupted.

    Args:
        results: `client.stream(sources, …)`; closed at the end, in any case.
        pool: the writers; closed at the end, in any case.
        sources: what the stream reads from; its problems become failed images.
        classes: names of the only classes to keep; all when empty.
        watchers: each is called with every image's row, in order.

    Raises:
        InvalidOptionError: a name in `classes` is unknown to the detector.
    """
    started = time.monotonic()
    objects: Counter[str] = Counter()
    interrupted = False
    with pool, _closing(results):
        try:
            for result in _with_problems(results, sources):
                kept = _only(result, classes)
                if kept.detections is not None:
                    objects.update(name for _, _, _, name in kept.detections)
                pool.submit(kept)
                row = Row.of(kept)
                for watcher in watchers:
                    watcher(row)
        except KeyboardInterrupt:
            interrupted = True
    return JobReport(
        done=pool.done,
        failed=pool.failed,
        seconds=time.monotonic() - started,
        objects=objects,
        interrupted=interrupted,
        unlogged=tuple(pool.unlogged),
    )


def _with_problems(results: Iterable[Result], sources: Sources | None) -> Iterator[Result]:
    """The results, with what the sources could not find in between."""
    problems = sources.problems if sources is not None else None
    for result in results:
        while problems:
            yield problems.popleft()
        yield result
    while problems:
        yield problems.popleft()


def _only(result: Result, classes: Sequence[str]) -> Result:
    if not classes or result.detections is None:
        return result
    return replace(result, detections=result.detections.only_classes(classes))


@contextlib.contextmanager
def _closing(results: Iterable[Result]) -> Iterator[None]:
    """Has a generator cancel what is still under way when its results are wanted no more."""
    try:
        yield
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()
