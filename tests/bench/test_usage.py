"""Processor time and memory of process trees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sightline.errors import MeasurementError
from sightline_bench.measure.usage import Peaks, descendants, process_name, process_seconds, sampled, tree, tree_seconds

BURN = "import time\nwhile time.process_time() < 0.5: pass\n"
MEGABYTE = 1_000_000


@contextmanager
def running(script: str) -> Iterator[subprocess.Popen[str]]:
    """A Python that runs the script and waits to be told to end; it has printed a line."""
    with subprocess.Popen([sys.executable, "-c", script], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_a_burning_grandchild_counts_while_it_runs() -> None:
    grandchild = f"{BURN}print(); input()"
    with running(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])") as process:
        assert process_seconds(process.pid) < 0.4
        assert tree_seconds(process.pid) > 0.45
        assert len(descendants(process.pid)) == 1


def test_a_child_that_has_ended_still_counts() -> None:
    with running(
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BURN!r}]); print(); input()"
    ) as process:
        assert not descendants(process.pid)
        assert tree_seconds(process.pid) > 0.45


def test_an_idle_child_costs_nothing() -> None:
    with running("print(); input()") as process:
        before = tree_seconds(process.pid)
        sum(range(3_000_000))
        assert tree_seconds(process.pid) == before


def test_the_use_of_a_process_that_is_gone_is_an_error() -> None:
    with running("print()") as process:
        process.wait()
    with pytest.raises(MeasurementError, match=f"process {process.pid} has ended"):
        tree_seconds(process.pid)


def test_the_memory_of_a_child_is_seen() -> None:
    with running("print(); input(); data = b'x' * 100_000_000; print(); input()") as process:
        before = Peaks()
        before.add_sample(tree(process.pid))
        with sampled(lambda: tree(process.pid)) as peaks:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            process.stdout.readline()
        assert peaks.total - before.total > 90 * MEGABYTE
        assert peaks.processes[process.pid] == peaks.total


def test_a_process_is_named_by_its_script() -> None:
    assert process_name(os.getpid()).startswith(Path(sys.executable).name.rstrip("0123456789."))


def test_a_process_is_the_root_of_its_tree() -> None:
    assert tree(os.getpid())[0] == os.getpid()
