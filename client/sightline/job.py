"""One run over many images: results from the stream into the writers, with progress, whatever single images do."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sightline.detections import Detections, Result, Source
from sightline.errors import SightlineError
from sightline.sources import Sources
from sightline.writers import WriterPool


@dataclass(frozen=True)
class Row:
    """One image in a table of results.

    Attributes:
        source: where it came from.
        objects: how many were found, by all members of a group together; 0 where it failed.
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
        scores = [score for found in _found(result).values() for score in found.scores.tolist()]
        return cls(result.source, len(scores), max(scores, default=None), result.milliseconds, result.error)


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """What became of a run.

    Attributes:
        done: images that have their result, completely written.
        failed: images, and arguments that led to none, that have an error instead.
        seconds: from the first image to the last write.
        objects: how many of each class were found, by name.
        models: how many objects each member of a group found, by name; empty where a single detector was asked.
        interrupted: whether Ctrl-C ended the run early.
        unlogged: failures that not even `errors.jsonl` could take, for people to read.
    """

    done: int
    failed: int
    seconds: float
    objects: Counter[str]
    interrupted: bool
    unlogged: Sequence[str]
    models: Counter[str] = field(default_factory=Counter)

    @property
    def images_per_second(self) -> float:
        """Done and failed images, by time."""
        return (self.done + self.failed) / self.seconds if self.seconds else 0.0

    def summary(self) -> str:
        """For people: `187 done, 3 failed in 12.3 s (15.4 images/s); 412 objects: 300 person, 112 car`.

        Of a group it tells the objects by member: `812 objects: 412 by yolov8n, 400 by yolov5n`.
        """
        counts = f"{self.done:,} done" + (f", {self.failed:,} failed" if self.failed else "")
        text = f"{counts} in {self.seconds:.1f} s ({self.images_per_second:.1f} images/s)"
        found = self._objects_by_model() if self.models else self._objects_by_class()
        return f"{text}; {self.objects.total():,} objects" + (f": {found}" if found else "")

    def _objects_by_class(self) -> str:
        found = ", ".join(f"{number:,} {name}" for name, number in self.objects.most_common(_NAMED_CLASSES))
        more = f" and {len(self.objects) - _NAMED_CLASSES} more classes" if len(self.objects) > _NAMED_CLASSES else ""
        return found + more

    def _objects_by_model(self) -> str:
        return ", ".join(f"{number:,} by {model}" for model, number in self.models.items())


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
        InvalidOptionError: a name in `classes` is unknown to the detector, or to all members of the group.
    """
    started = time.monotonic()
    objects: Counter[str] = Counter()
    models: Counter[str] = Counter()
    interrupted = False
    with pool, _closing(results):
        try:
            for result in _with_problems(results, sources):
                kept = _only(result, classes)
                for found in _found(kept).values():
                    objects.update(name for _, _, _, name in found)
                models.update({model: len(found) for model, found in (kept.group or {}).items()})
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
        models=models,
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
    if not classes or result.error is not None:
        return result
    if result.group is not None:
        return replace(result, group=result.group.only_classes(classes))
    return replace(result, detections=result.unwrap().only_classes(classes))


def _found(result: Result) -> Mapping[str, Detections]:
    """What was found, by member of a group, or all together under an empty name; nothing where the image failed."""
    if result.group is not None:
        return result.group
    return {} if result.detections is None else {"": result.detections}


@contextlib.contextmanager
def _closing(results: Iterable[Result]) -> Iterator[None]:
    """Has a generator cancel what is still under way when its results are wanted no more."""
    try:
        yield
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()
