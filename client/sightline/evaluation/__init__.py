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
from .evaluation import Evaluation, MeasuredDetector
from .metrics import ClassMetrics, Metrics, check_installed, measure
from .plot import check_plot_path, write_plot
from .protocol import Protocol
from .report import as_json, as_text
from .selection import Selection, select

__all__ = [
    "CategoryMatch",
    "ClassMetrics",
    "Evaluation",
    "GroundTruth",
    "MeasuredDetector",
    "Metrics",
    "Protocol",
    "Selection",
    "as_json",
    "as_text",
    "check_installed",
    "check_plot_path",
    "match_categories",
    "measure",
    "read_annotations",
    "select",
    "write_plot",
]
