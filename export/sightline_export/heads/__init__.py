"""Layouts of raw network outputs: how each is decoded, and which one an output has.

A head is one module with one `Head`; a new layout is a new module and a new entry of `HEADS`. Which sort of network
has which layout, and what it wants to see in a picture, stands in `sightline_export.families`.
"""

from __future__ import annotations

from ._head import ByClass, Candidates, Head
from .anchors_first import ANCHORS_FIRST
from .anchors_last import ANCHORS_LAST
from .end_to_end import END_TO_END
from .grid import GRID
from .queries import QUERIES, RANKED_QUERIES

HEADS: dict[str, Head] = {
    head.name: head for head in (ANCHORS_LAST, ANCHORS_FIRST, END_TO_END, GRID, QUERIES, RANKED_QUERIES)
}
"""Every known layout, by name."""

__all__ = [
    "ANCHORS_FIRST",
    "ANCHORS_LAST",
    "END_TO_END",
    "GRID",
    "HEADS",
    "QUERIES",
    "RANKED_QUERIES",
    "ByClass",
    "Candidates",
    "Head",
]
