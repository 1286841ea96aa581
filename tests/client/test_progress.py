"""The bar on a terminal, and silence elsewhere."""

from __future__ import annotations

import io
import time
from pathlib import Path

from rich.console import Console

from sightline.errors import CorruptImageError
from sightline.job import Row
from sightline.progress import RunProgress
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
