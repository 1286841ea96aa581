"""The bar on a terminal, and silence elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from sightline.errors import CorruptImageError
from sightline.job import Row
from sightline.progress import Pace, RunProgress
from sightline.sources import Sources

GOOD = Row("a.jpg", 3, 0.9, 5.0, None)
BAD = Row("b.jpg", 0, None, None, CorruptImageError("truncated"))


def shown(*, terminal: bool, sources: Sources | None = None, wait_for_total: bool = False) -> str:
    """What the bar writes about four images, one of which fails."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=120, legacy_windows=False)
    with RunProgress(sources, console=console) as progress:
        progress.advance(GOOD)
        progress.advance(BAD)
        give_up = time.monotonic() + 20
        while wait_for_total and progress.total is None and time.monotonic() < give_up:
            time.sleep(0.01)
        for _ in range(2):
            time.sleep(0.01)
            progress.advance(GOOD)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_silent_without_a_terminal() -> None:
    assert shown(terminal=False) == ""


def test_counts_images_and_failures() -> None:
    text = shown(terminal=True)
    assert "4/?" in text
    assert "1 failed" in text
    assert "left" not in text


def test_the_total_is_counted_beside_the_run(tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.jpg").touch()
    text = shown(terminal=True, sources=Sources([str(tmp_path)]), wait_for_total=True)
    assert "4/8" in text
    assert "images/s" in text
    assert "left" in text


def test_an_uncountable_total_stays_open() -> None:
    assert "4/?" in shown(terminal=True, sources=Sources(["-"]))


def test_bursts_do_not_mislead_the_speed() -> None:
    """Eight images at once, every two seconds: four a second, whenever one looks."""
    seconds = 0.0
    pace = Pace(window_seconds=20, clock=lambda: seconds)
    assert pace.images_per_second() == 0
    for _ in range(50):
        seconds += 2.0
        for _ in range(8):
            pace.advance()
    assert pace.images_per_second() == pytest.approx(4.0, rel=0.1)
    seconds += 1.9
    assert pace.images_per_second() == pytest.approx(4.0, rel=0.15)


def test_the_speed_follows_a_change() -> None:
    seconds = 0.0
    pace = Pace(window_seconds=20, clock=lambda: seconds)
    for step in [1.0] * 100 + [0.1] * 300:
        seconds += step
        pace.advance()
    assert pace.images_per_second() == pytest.approx(10.0, rel=0.1)
    seconds += 1000
    assert pace.images_per_second() < 0.1
