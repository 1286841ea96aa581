"""Writing behind the stream: order, bounds, and failures that are never lost."""

from __future__ import annotations

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import pytest

from sightline.detections import Detections, Result
from sightline.errors import CorruptImageError, OutputError
from sightline.writers import ErrorLog, JsonLinesWriter, Writer, WriterPool, YoloWriter
from sightline.writers.base import Write


def found(source: str) -> Result:
    return Result(source, Detections.none(class_names=("a",), image_size_hw=(10, 10)))


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class GateWriter(Writer):
    """Writes nothing, and not before its gate is open; refuses sources that begin with `bad`."""

    name: ClassVar[str] = "gate"
    in_order: ClassVar[bool] = False

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.prepared: list[str] = []
        self.written: list[str] = []

    def prepare(self, result: Result) -> Write:
        self.prepared.append(str(result.source))
        if str(result.source).startswith("bad-plan"):
            raise OutputError("not this one")
        return partial(self._write, str(result.source))

    def _write(self, source: str) -> None:
        assert self.gate.wait(timeout=30)
        if source.startswith("bad-write"):
            raise ZeroDivisionError("a surprise")
        self.written.append(source)


def test_lines_keep_the_order_of_the_results(tmp_path: Path) -> None:
    sources = [f"{number}.jpg" for number in range(500)]
    with WriterPool([JsonLinesWriter(tmp_path), YoloWriter(tmp_path, base=Path())], errors=ErrorLog(tmp_path)) as pool:
        for source in sources:
            pool.submit(found(source))
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == sources
    assert len(list((tmp_path / "labels").iterdir())) == 500
    assert (pool.done, pool.failed, pool.unlogged) == (500, 0, [])


def test_errors_go_to_the_error_log_only(tmp_path: Path) -> None:
    with WriterPool([JsonLinesWriter(tmp_path)], errors=ErrorLog(tmp_path)) as pool:
        pool.submit(found("good.jpg"))
        pool.submit(Result("bad.jpg", error=CorruptImageError("truncated")))
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == ["good.jpg"]
    assert lines(tmp_path / "errors.jsonl") == [{"source": "bad.jpg", "error": "corrupt", "reason": "truncated"}]
    assert (pool.done, pool.failed) == (1, 1)


def test_failed_writes_are_reported_and_the_rest_goes_on(tmp_path: Path) -> None:
    writer = GateWriter()
    writer.gate.set()
    sources = ["1.jpg", "bad-plan.jpg", "2.jpg", "bad-write.jpg", "3.jpg"]
    with WriterPool([JsonLinesWriter(tmp_path), writer], errors=ErrorLog(tmp_path)) as pool:
        for source in sources:
            pool.submit(found(source))
    assert sorted(writer.written) == ["1.jpg", "2.jpg", "3.jpg"]
    assert [line["source"] for line in lines(tmp_path / "results.jsonl")] == sources
    assert sorted(lines(tmp_path / "errors.jsonl"), key=lambda line: str(line["source"])) == [
        {"source": "bad-plan.jpg", "error": "write-failed", "reason": "gate: not this one"},
        {"source": "bad-write.jpg", "error": "write-failed", "reason": "gate: ZeroDivisionError: a surprise"},
    ]
    assert (pool.done, pool.failed) == (3, 2)


def test_an_image_fails_once_however_many_of_its_writes_fail(tmp_path: Path) -> None:
    writers = [GateWriter(), GateWriter()]
    with WriterPool(writers, errors=ErrorLog(tmp_path)) as pool:
        pool.submit(found("bad-plan.jpg"))
    assert (pool.done, pool.failed) == (0, 1)
    assert len(lines(tmp_path / "errors.jsonl")) == 2


def test_the_stream_waits_only_when_too_many_are_pending(tmp_path: Path) -> None:
    writer = GateWriter()
    pool = WriterPool([writer], errors=ErrorLog(tmp_path), threads=2, max_pending=5)

    def submit_all() -> None:
        for number in range(12):
            pool.submit(found(f"{number}.jpg"))

    submitting = threading.Thread(target=submit_all)
    submitting.start()
    submitting.join(timeout=0.5)
    assert submitting.is_alive()
    assert len(writer.prepared) == 5
    assert writer.written == []
    writer.gate.set()
    submitting.join(timeout=30)
    pool.close()
    assert len(writer.written) == pool.done == 12


def test_failures_survive_an_error_log_that_fails(tmp_path: Path) -> None:
    """Every write to /dev/full fails as on a full disk."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    (tmp_path / "errors.jsonl").symlink_to("/dev/full")
    with WriterPool([], errors=ErrorLog(tmp_path)) as pool:
        pool.submit(Result("bad.jpg", error=CorruptImageError("truncated")))
    assert pool.failed == 1
    [text] = pool.unlogged
    assert "bad.jpg: truncated" in text
    assert "No space left" in text


def test_closing_twice(tmp_path: Path) -> None:
    pool = WriterPool([JsonLinesWriter(tmp_path)], errors=ErrorLog(tmp_path))
    pool.submit(found("a.jpg"))
    pool.close()
    pool.close()
    assert pool.done == 1
