"""The measure itself: perfect, blind and wrong detectors get the scores that they deserve."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline_export.demo.evaluate import Found, average_precision_50
from sightline_export.demo.objects import CLASS_NAMES
from sightline_export.demo.samples import Labelled, held_out_set

NOTHING = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))


@pytest.fixture(scope="module")
def pictures() -> list[Labelled]:
    return list(held_out_set(count=12))


def imperfect(pictures: list[Labelled]) -> dict[bytes, Found]:
    """A detector that misses some, moves some, and invents some."""
    rng = np.random.default_rng(0)
    answers: dict[bytes, Found] = {}
    for picture in pictures:
        count = len(picture.boxes_xyxy)
        kept = rng.random(count) < 0.8
        moved = picture.boxes_xyxy + rng.normal(0, 6, (count, 4)).astype(np.float32)
        boxes = np.concatenate([moved[kept], moved[:2] + 40])
        ids = np.concatenate([picture.class_ids[kept], picture.class_ids[:2]])
        answers[picture.jpeg] = Found(boxes.astype(np.float32), rng.random(len(ids)).astype(np.float32), ids)
    return answers


def test_a_perfect_detector_scores_one(pictures: list[Labelled]) -> None:
    answers = {p.jpeg: Found(p.boxes_xyxy, np.ones(len(p.class_ids), np.float32), p.class_ids) for p in pictures}
    precisions = average_precision_50(pictures, answers.__getitem__)
    assert set(precisions) <= set(CLASS_NAMES)
    assert all(precision == pytest.approx(1) for precision in precisions.values())


def test_a_blind_detector_scores_nothing(pictures: list[Labelled]) -> None:
    assert set(average_precision_50(pictures, lambda _: NOTHING).values()) == {0.0}


def test_finding_everything_twice_costs_precision(pictures: list[Labelled]) -> None:
    answers = {}
    for p in pictures:
        ids = np.concatenate([p.class_ids, p.class_ids])
        boxes = np.concatenate([p.boxes_xyxy, p.boxes_xyxy])
        scores = np.concatenate([np.full(len(p.class_ids), 0.5), np.full(len(p.class_ids), 0.9)])
        answers[p.jpeg] = Found(boxes, scores.astype(np.float32), ids)
    assert all(v == pytest.approx(1) for v in average_precision_50(pictures, answers.__getitem__).values())
    swapped = {
        jpeg: found._replace(class_ids=(found.class_ids + 1) % len(CLASS_NAMES)) for jpeg, found in answers.items()
    }
    assert np.mean(list(average_precision_50(pictures, swapped.__getitem__).values())) < 0.3


def test_it_agrees_with_coco(pictures: list[Labelled]) -> None:
    faster_coco_eval = pytest.importorskip("faster_coco_eval")
    answers = imperfect(pictures)
    ours = np.mean(list(average_precision_50(pictures, answers.__getitem__).values()))
    truth, found = coco_tables(pictures, answers)
    with redirect_stdout(io.StringIO()):
        coco = faster_coco_eval.COCO(json.loads(json.dumps(truth)))
        evaluation = faster_coco_eval.COCOeval_faster(coco, coco.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    assert 0.2 < ours < 0.95
    assert ours == pytest.approx(float(evaluation.stats[1]), abs=1e-4)


def coco_tables(pictures: list[Labelled], answers: dict[bytes, Found]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The truth as a COCO data set, and the answers as a COCO results list."""
    truth: dict[str, Any] = {
        "images": [{"id": index} for index in range(len(pictures))],
        "categories": [{"id": index, "name": name} for index, name in enumerate(CLASS_NAMES)],
        "annotations": [],
    }
    found = []
    for image_id, picture in enumerate(pictures):
        for box, class_id in zip(picture.boxes_xyxy, picture.class_ids, strict=True):
            area = float((box[2:] - box[:2]).prod())
            entry = {"image_id": image_id, "category_id": int(class_id), "bbox": xywh(box), "iscrowd": 0}
            truth["annotations"].append({**entry, "id": len(truth["annotations"]) + 1, "area": area})
        for box, score, class_id in zip(*answers[picture.jpeg], strict=True):
            entry = {"image_id": image_id, "category_id": int(class_id), "bbox": xywh(box)}
            found.append({**entry, "score": float(score)})
    return truth, found


def xywh(box: NDArray[np.float32]) -> list[float]:
    x0, y0, x1, y1 = (float(edge) for edge in box)
    return [x0, y0, x1 - x0, y1 - y0]
