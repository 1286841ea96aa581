"""The page: docs/models.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sightline.parity import MINIMUM_REFERENCE

from .results import Results
from .rows import Row

_COLUMNS = (
    "model",
    "weights",
    "source",
    "head",
    "input",
    "parameters",
    "GFLOPs",
    "reference detections",
    "matched",
    "extra",
    "worst IoU",
    "worst score difference",
    "raw difference",
    "mAP50-95 served",
    "mAP difference",
    "precision",
)
_LEFT = 5
"""Columns of text; the rest are numbers."""
_INTRODUCTION = f"""# Models

Every row was exported with `sightline export --square` and judged by its gate: the model's own framework and the
served chain (bytes into an embedded Triton, boxes out) looked at the same pictures, and their detections were paired.
The page is written by

```bash
make models
```

which runs the rows that have no result yet; `bench/results/models.json` has a line of figures for each.

- **weights**: *official* checkpoints, and those *quantised* by others, are judged on 100 photos of COCO val2017, with
  the mAP of both sides under one protocol (see [evaluation](evaluation.md)). *Random* weights are seeded and arranged
  so that at least 50 detections survive in each of four drawn pictures: they show that graph and source agree, and have
  no mAP. *Trained here* is a file of the real package that has learnt a few drawn scenes by heart.
- **matched** counts reference detections with a partner of the same class, as near as the gate demands; fewer than
  {MINIMUM_REFERENCE} reference detections would allow no verdict. **Extra** are detections of the served chain without
  a partner.
- **raw difference** is the largest difference between the raw output of the exported network and of the source for the
  same input, as a part of the output's range.
- **parameters** and **GFLOPs** are counted on the exported network as it runs on one picture of that input size; a
  multiplication with its addition counts as two operations.
- **mAP difference** is served less source, in points.
"""


def render(rows: Sequence[Row], results: Results) -> str:
    """The page's text; rows that were not run are missing."""
    lines = [_INTRODUCTION]
    measured = [row for row in rows if row.name in results]
    for family in dict.fromkeys(row.family for row in measured):
        lines += ["", f"## {family}", "", _line(_COLUMNS), _line(_rulers())]
        lines += [_line(_cells(row, results[row.name])) for row in measured if row.family == family]
    lines += ["", *_environment(rows, results)]
    return "\n".join(lines) + "\n"


def verdict(measured: dict[str, Any]) -> str:
    """One row's outcome in a line, for the terminal."""
    verification = measured["export"]["verification"]
    counts = f"{verification['matched']} of {verification['reference']} matched, {verification['extra']} extra"
    return f"{verification['outcome']}, {counts} ({measured['seconds']} s)"


def _cells(row: Row, measured: dict[str, Any]) -> Iterator[str]:
    export = measured["export"]
    found = export["verification"]
    yield f"`{row.name}`"
    yield row.weights
    yield f"`{row.source}`"
    yield export["head"]
    yield export["input"]
    yield f"{export['parameters'] / 1e6:.1f} M"
    yield f"{export['flops'] / 1e9:.1f}"
    yield str(found["reference"])
    yield str(found["matched"])
    yield str(found["extra"])
    yield f"{found['worst_iou']:.3f}"
    yield f"{found['worst_score_difference']:.4f}"
    yield f"{export['raw_difference']:.0e}"
    yield from _average_precision(measured.get("evaluation"))
    yield export["precision"]


def _average_precision(evaluation: dict[str, Any] | None) -> Iterator[str]:
    if evaluation is None:
        yield from ("", "")
        return
    yield f"{100 * evaluation['served']['ap_50_95']:.2f}"
    # Without a negative zero.
    yield f"{round(evaluation['difference_points']['ap_50_95'], 2) + 0.0:+.2f}"


def _rulers() -> list[str]:
    return ["---"] * _LEFT + ["---:"] * (len(_COLUMNS) - _LEFT)


def _line(cells: Sequence[str] | Iterator[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _environment(rows: Sequence[Row], results: Results) -> Iterator[str]:
    """What the rows were run with; each version once."""
    measured = [results[row.name] for row in rows if row.name in results]
    versions: dict[str, set[str]] = {}
    for each in measured:
        for package, version in each["export"]["versions"].items():
            versions.setdefault(package, set()).add(version)
    shown = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in sorted(versions.items()))
    yield "## Run with"
    yield ""
    yield f"{len(measured)} rows; {shown}."
