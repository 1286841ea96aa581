"""How good a detector is: COCO's average precision of what a server finds, against annotated images.

    truth = read_annotations(Path("instances.json"))
    selection = select(paths, truth)
    match = match_categories(client.info.class_names, truth.categories)
    metrics = measure(selection.truth, found, match)

Needs the `evaluate` extra, which is imported only when something is measured or drawn.
"""

from __future__ import annotations

from .annotations import GroundTruth, read_annotations
from .categories import CategoryMatch, match_categories
from .metrics import ClassMetrics, Metrics, measure
from .selection import Selection, select

__all__ = [
    "CategoryMatch",
    "ClassMetrics",
    "GroundTruth",
    "Metrics",
    "Selection",
    "match_categories",
    "measure",
    "read_annotations",
    "select",
]
