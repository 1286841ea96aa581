"""Contestants of a few lines, which are started and asked as the real ones are."""

from __future__ import annotations

import sys
from pathlib import Path

from sightline_bench.contestants.program import Recipe

BASELINES = Path(__file__).resolve().parents[2] / "bench" / "baselines"
IMAGES = 4
ONE_PASS = """
import time
from _turns import Turns
turns = Turns()
def one_pass(paths):
{body}
turns.take(["image"] * {images}, one_pass)
"""


def program(body: str, *, name: str = "small") -> Recipe:
    """A program whose pass is `body`, in which `paths` are its images; it has the options that it is given."""
    indented = "\n".join(f"    {line}" for line in body.splitlines())
    return script(ONE_PASS.format(body=indented, images=IMAGES), name=name)


def script(text: str, *, name: str = "small") -> Recipe:
    """A program that is this Python."""
    return Recipe(
        name=name,
        title=f"the {name} one",
        script=f"{name}.py",
        command=(sys.executable, "-c", text),
        images=IMAGES,
        environment={"PYTHONPATH": str(BASELINES)},
    )
