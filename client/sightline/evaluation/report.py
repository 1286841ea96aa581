"""An evaluation as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from sightline.detector_info import DetectorInfo
from sightline.sources import printable

from .evaluation import Evaluation, MeasuredDetector
from .metrics import OPERATING_IOU, ClassMetrics, Metrics

_MEANS = {
    "mAP50-95": "ap_50_95",
    "mAP50": "ap_50",
    "mAP75": "ap_75",
    "small": "ap_small",
    "medium": "ap_medium",
    "large": "ap_large",
    "recall": "recall",
}
"""Attributes of `Metrics` by their titles."""
_SHOWN = 5
_DECIMALS = 6


def as_text(evaluation: Evaluation) -> Iterator[str]:
    """Lines for a terminal; averages are in points, 0 to 100."""
    served = evaluation.served.metrics
    yield f"{evaluation.model} ({evaluation.served.description}) on {served.images:,} images"
    if evaluation.reference is not None:
        yield f"against {evaluation.reference.description} on the same images"
    yield f"protocol: {evaluation.protocol}"
    yield from _notes(evaluation)
    yield ""
    yield from _mean_table(evaluation)
    yield ""
    yield from _class_table(served.classes)


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """Everything; averages, precision, recall and scores are 0 to 1, differences are points (0 to 100)."""
    selection, reference = evaluation.selection, evaluation.reference
    content: dict[str, Any] = {
        "protocol": asdict(evaluation.protocol),
        "versions": dict(evaluation.versions),
        "model": {"name": evaluation.model, **_info(evaluation.info)},
        "images": {
            "evaluated": list(selection.image_of_path),
            "not_annotated": dict(selection.not_annotated),
            "not_given": list(selection.not_given),
            "unreadable_arguments": dict(evaluation.unreadable),
            "other_sizes_hw": {
                path: {"file": came, "annotations": told} for path, (came, told) in evaluation.other_sizes.items()
            },
        },
        "served": _side(evaluation, evaluation.served),
    }
    if reference is not None:
        content["reference"] = _side(evaluation, reference)
        content["difference_points"] = _differences(evaluation.served.metrics, reference.metrics)
    return content


def _info(info: DetectorInfo) -> dict[str, Any]:
    return {**asdict(info), "preprocessing": info.preprocessing.model_name}


def _side(evaluation: Evaluation, side: MeasuredDetector) -> dict[str, Any]:
    categories = evaluation.selection.truth.categories
    metrics = side.metrics
    return {
        "description": side.description,
        "failed": dict(side.failed),
        "categories_unknown_to_the_detector": [categories[index].name for index in side.match.categories_left_over],
        "classes_without_category": list(side.match.classes_left_over),
        "names_matched_loosely": [{"class": ours, "category": theirs} for ours, theirs in side.match.loose],
        "images": metrics.images,
        "objects": metrics.objects,
        "found": metrics.found,
        **{attribute: _rounded(getattr(metrics, attribute)) for attribute in _MEANS.values()},
        "mean_precision_at_recalls_iou_50": _rounded_all(metrics.curve_50()),
        "classes": [_class_json(each) for each in metrics.classes],
    }


def _class_json(each: ClassMetrics) -> dict[str, Any]:
    best = each.best
    return {
        "name": each.name,
        "category_id": each.category_id,
        "known": each.known,
        "objects": each.objects,
        "found": each.found,
        "ap_50_95": _rounded(each.ap_50_95),
        "ap_50": _rounded(each.ap_50),
        "ap_75": _rounded(each.ap_75),
        "best_f1": None
        if best is None
        else {key: _rounded(getattr(best, key)) for key in ("f1", "precision", "recall", "score")},
        "precision_at_recalls_iou_50": _rounded_all(each.curve_50),
    }


def _differences(served: Metrics, reference: Metrics) -> dict[str, Any]:
    """Served less reference."""
    theirs = {each.category_id: each for each in reference.classes}
    return {
        **{name: _points(getattr(served, name), getattr(reference, name)) for name in _MEANS.values()},
        "classes": {
            each.name: _points(each.ap_50_95, theirs[each.category_id].ap_50_95)
            for each in served.classes
            if each.category_id in theirs
        },
    }


def _points(ours: float | None, theirs: float | None) -> float | None:
    return None if ours is None or theirs is None else _rounded(100 * (ours - theirs))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)


def _rounded_all(values: Iterable[float]) -> list[float]:
    return [round(float(value), _DECIMALS) for value in values]


def _notes(evaluation: Evaluation) -> Iterator[str]:
    """What a reader has to know before he believes a figure."""
    selection, match = evaluation.selection, evaluation.served.match
    unknown = [selection.truth.categories[index].name for index in match.categories_left_over]
    counted = "left out" if evaluation.protocol.known_categories_only else "counted as never found"
    yield from _note("annotated images that were not given, left out", selection.not_given)
    yield from _note("files that the annotations do not know, left out", selection.not_annotated)
    yield from _note("arguments that led to no image", _with_reasons(evaluation.unreadable))
    for side in filter(None, (evaluation.served, evaluation.reference)):
        whose = "" if side is evaluation.served else " in the reference"
        yield from _note(f"failed{whose}, counted as images without detections", _with_reasons(side.failed))
    yield from _note("images of another size than the annotations tell", _sizes(evaluation))
    yield from _note(f"categories unknown to the detector, {counted}", unknown)
    yield from _note("classes that are no category of the annotations", match.classes_left_over)
    yield from _note("names that fit but for case, spaces or hyphens", [" = ".join(pair) for pair in match.loose])


def _note(what: str, names: Iterable[str]) -> Iterator[str]:
    listed = list(names)
    if listed:
        more = f" and {len(listed) - _SHOWN:,} more" if len(listed) > _SHOWN else ""
        yield f"note: {what}: {len(listed):,} ({', '.join(map(printable, listed[:_SHOWN]))}{more})"


def _with_reasons(failed: Mapping[str, str]) -> list[str]:
    return [f"{name} ({reason})" for name, reason in failed.items()]


def _sizes(evaluation: Evaluation) -> list[str]:
    return [
        f"{path} ({came[1]} x {came[0]}, not {told[1]} x {told[0]})"
        for path, (came, told) in evaluation.other_sizes.items()
    ]


def _mean_table(evaluation: Evaluation) -> Iterator[str]:
    served, reference = evaluation.served.metrics, evaluation.reference
    if reference is None:
        yield from (f"{title:<9} {_cell(getattr(served, name)):>7}" for title, name in _MEANS.items())
        return
    yield f"{'':<9} {'served':>9} {'reference':>9} {'difference':>10}"
    for title, name in _MEANS.items():
        ours, theirs = getattr(served, name), getattr(reference.metrics, name)
        difference = _points(ours, theirs)
        # Adding 0 takes the sign from what is rounded to -0.
        shown = "-" if difference is None else f"{round(difference, 2) + 0.0:+.2f}"
        yield f"{title:<9} {_cell(ours):>9} {_cell(theirs):>9} {shown:>10}"


def _class_table(classes: Iterable[ClassMetrics]) -> Iterator[str]:
    rows = sorted(classes, key=lambda each: (-each.objects, each.name))
    width = max([5, *(len(printable(each.name)) for each in rows)])
    titles = f"{'objects':>8} {'AP50-95':>8} {'AP50':>7} {'precision':>10} {'recall':>7} {'score':>6}"
    yield f"{'class':<{width}} {titles}"
    for each in rows:
        averages = f"{each.objects:>8,} {_cell(each.ap_50_95):>8} {_cell(each.ap_50):>7}"
        yield f"{printable(each.name):<{width}} {averages} {_best(each)}"
    yield f"precision and recall at IoU {OPERATING_IOU:g} and at the score where their F1 is best"


def _best(each: ClassMetrics) -> str:
    if each.best is None:
        return "nothing found" if each.known else "unknown to the detector"
    return f"{_cell(each.best.precision):>10} {_cell(each.best.recall):>7} {each.best.score:>6.3f}"


def _cell(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"
