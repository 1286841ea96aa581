"""Whether a job's results are whole and sound: every name in every model, and the same for the same picture."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sightline.writers.annotated import ANNOTATED_FOLDER
from sightline.writers.coco import RESULTS_FILE as COCO_RESULTS_FILE
from sightline.writers.jsonl import ERRORS_FILE, RESULTS_FILE
from sightline.writers.yolo import LABELS_FOLDER

JsonObject = Mapping[str, Any]


@dataclass
class Checks:
    """What was found in the results.

    Attributes:
        lines: of results.
        names: of files that were to be done.
        missing: of those, how many have neither results nor an error.
        failed: how many have an error.
        unexpected: lines of files that nobody named.
        repeated: lines of files that had one before.
        incomplete: lines that lack a model.
        identical: results of one model in one file that are, digit by digit, those that it had in an equal file before.
        same_objects: not identical, but of the same classes in the same order.
        different: neither.
        largest_shift_pixels: of a coordinate, among those with the same objects.
        largest_score_difference: likewise.
        objects: of each model, in all files together.
        files: of each format other than JSON Lines and of each model, what is there: annotated pictures, labels, or
            objects in a COCO file.
        problems: what is wrong, for people.
    """

    names: int
    lines: int = 0
    missing: int = 0
    failed: int = 0
    unexpected: int = 0
    repeated: int = 0
    incomplete: int = 0
    identical: int = 0
    same_objects: int = 0
    different: int = 0
    largest_shift_pixels: float = 0.0
    largest_score_difference: float = 0.0
    objects: dict[str, int] = field(default_factory=dict)
    files: dict[str, dict[str, int]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Its part of the section."""
        return asdict(self)


def check(
    output: Path, names: Mapping[str, int], models: Sequence[str], formats: Sequence[str], *, partial: bool
) -> Checks:
    """Read everything that `sightline detect` wrote.

    Args:
        output: its output folder.
        names: paths of the files, each with the number of its picture.
        models: members of the group.
        formats: that were written; `jsonl` is among them.
        partial: whether the job was ended early, so that names may be missing and files be unfinished.
    """
    found = Checks(names=len(names), objects=dict.fromkeys(models, 0))
    seen: set[str] = set()
    known: dict[tuple[int, str], list[JsonObject]] = {}
    for line in _records(output / RESULTS_FILE):
        found.lines += 1
        source = line["source"]
        found.repeated += source in seen
        seen.add(source)
        if source not in names:
            found.unexpected += 1
            continue
        found.incomplete += set(line["models"]) != set(models)
        for model, objects in line["models"].items():
            found.objects[model] = found.objects.get(model, 0) + len(objects)
            before = known.setdefault((names[source], model), objects)
            if before is not objects:
                _compare(found, before, objects)
    failed = {line["source"] for line in _records(output / ERRORS_FILE)}
    found.failed = len(failed)
    found.missing = len(names.keys() - seen - failed)
    for each in formats:
        if each != "jsonl" and not (partial and each == "coco"):  # a COCO file is finished at the end
            found.files[each] = {model: _count(output / model, each) for model in models}
    found.problems = list(_problems(found, partial=partial))
    return found


def _records(file: Path) -> Iterator[dict[str, Any]]:
    if not file.is_file():
        return
    with file.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _compare(found: Checks, before: Sequence[JsonObject], now: Sequence[JsonObject]) -> None:
    """Count a result beside another of an equal file."""
    if before == now:
        found.identical += 1
        return
    if [each["class_id"] for each in before] != [each["class_id"] for each in now]:
        found.different += 1
        return
    found.same_objects += 1
    for one, other in zip(before, now, strict=True):
        shifts = [abs(a - b) for a, b in zip(one["box_xyxy"], other["box_xyxy"], strict=True)]
        found.largest_shift_pixels = max(found.largest_shift_pixels, *shifts)
        found.largest_score_difference = max(found.largest_score_difference, abs(one["score"] - other["score"]))


def _count(folder: Path, format_: str) -> int:
    """What one model's files of a format hold."""
    if format_ == "coco":
        return len(json.loads((folder / COCO_RESULTS_FILE).read_text(encoding="utf-8")))
    place = folder / {"annotated": ANNOTATED_FOLDER, "yolo": LABELS_FOLDER}[format_]
    return Counter(file.is_file() for file in place.rglob("*"))[True]


def _problems(found: Checks, *, partial: bool) -> Iterator[str]:
    counts = {
        "files without results or an error": 0 if partial else found.missing,
        "files with an error": found.failed,
        "lines of files that nobody named": found.unexpected,
        "files with several lines": found.repeated,
        "lines that lack a model": found.incomplete,
        "results that differ from those of an equal file": found.different,
    }
    yield from (f"{count:,} {what}" for what, count in counts.items() if count)
    for format_, by_model in found.files.items():
        for model, count in by_model.items():
            due = found.objects[model] if format_ == "coco" else found.lines
            if count != due:
                yield f"{format_}: {count:,} of {model}, where there ought to be {due:,}"
