"""The page: docs/models-precision.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sightline.contract import EXPORT_PRECISIONS
from sightline_bench.models_table.results import Results

from .five import GROUP
from .rows import precision_rows
from .served import BATCH_SIZE, ROUNDS

_COLUMNS = (
    "model",
    "precision",
    "gate",
    "reference detections",
    "matched",
    "extra",
    "mAP50-95 served",
    "difference to fp32",
    "ms a picture",
    "time of fp32's",
    "computed in",
)
_NUMBERS = range(3, 10)
_INTRODUCTION = f"""# Models in other precisions

Models of [the table of models](models.md) in every `--precision` of `sightline export --square`, each through the gate,
and then served side by side by one embedded Triton. The page is written by

```bash
make models-precision
```

which runs the rows that have no result yet; `bench/results/precisions.json` has a line of figures for each.

- The photos of COCO val2017 are split by name: int8 is **calibrated** on every second one, and **judged**, like
  everything else of the models with real weights, on the others. Models with random weights are judged on four drawn
  pictures, *Detecto* on the scenes that it has learnt (its int8 is calibrated on other arrangements of them).
- **gate**: *passed* and *refused* are its verdicts for what the precision allows (see [exporting](exporting.md));
  *unjudged* is what this processor does not compute in that precision, so that nobody has seen what it would find. What
  was refused was not installed, so there is nothing to measure; below the table stands what the gate said. A random
  network owes nobody a pass in int8: its activations are not like those of one that has learnt.
- **mAP50-95** is that of the served detector on the judged photos, and the **difference** in points to fp32 there.
- **ms a picture** and **time of fp32's**: whole pictures through the server, {BATCH_SIZE} in a request, medians of
  {ROUNDS} rounds in which the precisions took turns; in brackets the least and the most of the rounds. The machine was
  shared: two rows that run the same thing (fp32, and bf16 where the processor has none) show how little a difference
  means.
- **computed in** is what really ran. fp16 is for GPUs, without which its network of fp16 types runs as the engine for
  CPUs does it.
"""


def render(results: Results) -> str:
    """The page's text; rows that were not run are missing."""
    lines = [_INTRODUCTION]
    measured = {row.name: results[row.name] for row in precision_rows() if row.name in results}
    families = dict.fromkeys(each["row"]["family"] for each in measured.values())
    for family in families:
        mine = {name: each for name, each in measured.items() if each["row"]["family"] == family}
        lines += ["", f"## {family}", "", *_rows(mine), *_refusals(mine)]
    if GROUP in results:
        lines += ["", *_group(results[GROUP])]
    lines += ["", *_environment(measured)]
    return "\n".join(lines) + "\n"


def _rows(measured: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    yield _line(_COLUMNS)
    yield _line("---:" if place in _NUMBERS else "---" for place in range(len(_COLUMNS)))
    for name, each in measured.items():
        for precision in EXPORT_PRECISIONS:
            yield _line(_cells(name, precision, each["precisions"]))


def _cells(name: str, precision: str, precisions: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    came = precisions[precision]
    yield f"`{name}`"
    yield precision
    if "refused" in came:
        yield "refused"
        yield from [""] * (len(_COLUMNS) - 3)
        return
    gate = came["gate"]
    yield "passed" if gate["outcome"] == "passed" else "unjudged"
    yield str(gate["reference"])
    yield str(gate["matched"])
    yield str(gate["extra"])
    yield from _average_precision(came.get("ap_50_95"), precisions["fp32"].get("ap_50_95"))
    least, median, most = came["pace"]["of_first"]
    yield f"{came['pace']['milliseconds']:.0f}"
    yield f"{median:.2f} ({least:.2f}-{most:.2f})"
    yield _engine(came["engine"])


def _average_precision(came: float | None, of_fp32: float | None) -> Iterator[str]:
    if came is None or of_fp32 is None:
        yield from ("", "")
        return
    yield f"{100 * came:.2f}"
    # Without a negative zero.
    yield f"{round(100 * (came - of_fp32), 2) + 0.0:+.2f}"


def _engine(engine: Mapping[str, Any]) -> str:
    reason = f": {engine['reason']}" if engine["reason"] else ""
    return f"{engine['precision']}, {engine['engine']} {engine['version']}{reason}"


def _refusals(measured: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    refused = {
        f"`{name}` in {precision}": came["refused"]
        for name, each in measured.items()
        for precision, came in each["precisions"].items()
        if "refused" in came
    }
    if refused:
        yield ""
        for what, message in refused.items():
            yield f"- {what}: {' '.join(message.split())}"


def _group(measured: Mapping[str, Any]) -> Iterator[str]:
    images = measured["images"]
    members = measured["members"]
    identical = all(each["agreement"]["images_identical"] == images for each in members.values())
    yield "## Five detectors on one decode"
    yield ""
    yield (
        f"All {images} photos through a group of five, and through each of its members alone (score "
        f"{measured['score_threshold']:g}). What they find is "
        f"{'the same to the last bit' if identical else 'compared below'}; what a group costs stands in "
        "[groups](groups.md#what-it-costs)."
    )
    yield ""
    columns = ("member", "source", "computed in", "objects alone", "images identical", "largest shift px", "score")
    yield _line(columns)
    yield _line(["---"] * 3 + ["---:"] * 4)
    for name, each in members.items():
        agreement = each["agreement"]
        yield _line(
            (
                f"`{name}`",
                f"`{each['source']}`",
                _engine(each["engine"]),
                str(agreement["objects"]),
                f"{agreement['images_identical']} of {images}",
                f"{agreement['largest_shift_pixels']:.2g}",
                f"{agreement['largest_score_difference']:.2g}",
            )
        )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _environment(measured: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """What the rows were run with; each version once."""
    versions: dict[str, set[str]] = {}
    for each in measured.values():
        for came in each["precisions"].values():
            for package, version in came.get("versions", {}).items():
                versions.setdefault(package, set()).add(version)
    shown = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in sorted(versions.items()))
    yield "## Run with"
    yield ""
    yield f"{len(measured)} models; {shown}."
