"""The run loop: everything is counted, whatever single images do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline import job
from sightline.detections import Detections, Result
from sightline.errors import CorruptImageError, InvalidOptionError
from sightline.sources import Sources
from sightline.writers import ErrorLog, JsonLinesWriter, WriterPool

NAMES = ("person", "car")


def found(source: str, *class_ids: int) -> Result:
    count = len(class_ids)
    boxes = np.tile(np.array([1, 2, 3, 4], np.float32), (count, 1))
    scores = np.linspace(0.9, 0.5, count).astype(np.float32)
    return Result(source, Detections(boxes, scores, np.array(class_ids, np.int32), NAMES, (10, 10)), milliseconds=5.0)


def failed(source: str) -> Result:
    return Result(source, error=CorruptImageError("truncated"))


def pool(folder: Path) -> WriterPool:
    return WriterPool([JsonLinesWriter(folder)], errors=ErrorLog(folder))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_no_images(tmp_path: Path) -> None:
    report = job.run([], pool=pool(tmp_path))
    assert (report.done, report.failed, report.interrupted) == (0, 0, False)
    assert report.summary().startswith("0 done in 0.0 s")
    assert lines(tmp_path / "results.jsonl") == []


def test_everything_is_counted(tmp_path: Path) -> None:
    rows: list[job.Row] = []
    results = [found("a.jpg", 0, 1, 0), failed("b.jpg"), found("c.jpg")]
    report = job.run(results, pool=pool(tmp_path), watchers=[rows.append])
    assert (report.done, report.failed) == (2, 1)
    assert report.objects == {"person": 2, "car": 1}
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == ["a.jpg", "c.jpg"]
    assert [line["source"] for line in lines(tmp_path / "errors.jsonl")] == ["b.jpg"]
    assert [(row.source, row.objects, row.milliseconds) for row in rows] == [
        ("a.jpg", 3, 5.0),
        ("b.jpg", 0, None),
        ("c.jpg", 0, 5.0),
    ]
    assert rows[0].best_score == pytest.approx(0.9)
    assert rows[2].best_score is None
    assert isinstance(rows[1].error, CorruptImageError)


def test_only_some_classes(tmp_path: Path) -> None:
    report = job.run([found("a.jpg", 0, 1), found("b.jpg", 0)], pool=pool(tmp_path), classes=["car"])
    assert report.objects == {"car": 1}
    assert [len(line["detections"]) for line in lines(tmp_path / "results.jsonl")] == [1, 0]


def test_what_sources_cannot_find_counts_as_failed(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    sources = Sources(["nowhere", str(tmp_path / "photos"), "*.nothing"])
    results = (found(path, 0) for path in sources)
    report = job.run(results, pool=pool(tmp_path / "out"), sources=sources)
    assert (report.done, report.failed) == (1, 2)
    assert [line["source"] for line in lines(tmp_path / "out" / "errors.jsonl")] == ["nowhere", "*.nothing"]


class Interrupted:
    """Results whose reader presses Ctrl-C after two of them."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Result]:
        yield found("a.jpg", 0)
        yield found("b.jpg", 0)
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


def test_an_interrupted_run_writes_what_has_come(tmp_path: Path) -> None:
    results = Interrupted()
    report = job.run(results, pool=pool(tmp_path))
    assert report.interrupted
    assert report.done == 2
    assert results.closed
    assert len(lines(tmp_path / "results.jsonl")) == 2


def test_a_stream_is_closed_when_its_results_are_wanted_no_more(tmp_path: Path) -> None:
    closed = []

    def endless() -> Iterator[Result]:
        try:
            while True:
                yield found("a.jpg", 0)
        finally:
            closed.append(True)

    with pytest.raises(InvalidOptionError, match="no class 'cat'"):
        job.run(endless(), pool=pool(tmp_path), classes=["cat"])
    assert closed == [True]


def test_summary_names_the_most_frequent_classes() -> None:
    numbers = {"person": 1200, "car": 40, "dog": 3, "cat": 2, "bus": 1, "tv": 1, "cup": 1}
    report = job.JobReport(done=1187, failed=3, seconds=10.0, objects=Counter(numbers), interrupted=False, unlogged=())
    assert report.summary() == (
        "1,187 done, 3 failed in 10.0 s (119.0 images/s); "
        "1,248 objects: 1,200 person, 40 car, 3 dog, 2 cat, 1 bus and 2 more classes"
    )
