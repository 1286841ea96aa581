"""What a GPU gave, where there was one."""

from __future__ import annotations

from collections.abc import Iterator

from sightline_bench.measure.results import Results
from sightline_bench.pages import document

_SECTION = "gpu"


def section(results: Results) -> Iterator[str]:
    """Not measured, and how to do it, where the file has nothing."""
    yield "<h2>On a GPU</h2>"
    if _SECTION not in results.sections:
        yield document.paragraph("Not measured: every figure above is the processor's.", kind="quiet")
