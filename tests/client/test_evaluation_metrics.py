"""Average precision where it is known by hand, on ground truth of a few boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.client.evaluation_truth import CATEGORIES, Row, box, detections, truth

from sightline import Detections
from sightline.evaluation import GroundTruth, Metrics, match_categories, measure

CAT: Row = (50, 50, 150, 150, 0.9, 0)
DOG: Row = (300, 100, 400, 300, 0.8, 1)
CAT_THERE = box(10, 3, [50, 50, 100, 100])
DOG_THERE = box(10, 17, [300, 100, 100, 200])


def metrics(known: GroundTruth, *found: Detections, known_only: bool = False) -> Metrics:
    """Of the images in order."""
    names = found[0].class_names if found else ("cat", "dog")
    return measure(known, dict(enumerate(found)), match_categories(names, known.categories), known_only=known_only)


def test_everything_found_exactly(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE, DOG_THERE]), detections(CAT, DOG))
    assert (came.ap_50_95, came.ap_50, came.ap_75, came.recall) == pytest.approx((1, 1, 1, 1))
    assert (came.images, came.objects, came.found) == (2, 2, 2)
    assert [(each.name, each.category_id, each.objects) for each in came.classes] == [("cat", 3, 1), ("dog", 17, 1)]
    best = came.classes[1].best
    assert best is not None
    assert (best.precision, best.recall, best.f1, best.score) == pytest.approx((1, 1, 1, 0.8))


def test_areas(tmp_path: Path) -> None:
    """Both are larger than 96 x 96 pixels, so there is nothing small or medium to find."""
    came = metrics(truth(tmp_path, [CAT_THERE, DOG_THERE]), detections(CAT))
    assert (came.ap_small, came.ap_medium) == (None, None)
    assert came.ap_large == pytest.approx(0.5)


def test_the_area_of_the_annotation_counts_not_that_of_its_box(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [{**CAT_THERE, "area": 500.0}]), detections(CAT))
    assert came.ap_small == pytest.approx(1)
    assert (came.ap_medium, came.ap_large) == (None, None)


@pytest.mark.parametrize("found", [[], [detections(), detections()]])
def test_nothing_found(tmp_path: Path, found: list[Detections]) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE, DOG_THERE]), *found)
    assert (came.ap_50_95, came.ap_50, came.recall, came.found) == (0, 0, 0, 0)
    assert [each.best for each in came.classes] == [None, None]


def test_nothing_to_find(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, []), detections(CAT))
    assert (came.ap_50_95, came.ap_50, came.classes, came.objects) == (None, None, (), 0)
    np.testing.assert_array_equal(came.curve_50(), np.zeros(101))


def test_one_false_alarm_before_the_hit(tmp_path: Path) -> None:
    """Precision is 1/2 at every recall, at every IoU."""
    came = metrics(truth(tmp_path, [CAT_THERE]), detections((400, 10, 500, 60, 0.95, 0), CAT))
    assert (came.ap_50_95, came.ap_50) == pytest.approx((0.5, 0.5))
    best = came.classes[0].best
    assert best is not None
    assert (best.precision, best.recall, best.score) == pytest.approx((0.5, 1, 0.9))
    np.testing.assert_allclose(came.curve_50(), 0.5)


def test_one_false_alarm_behind_the_hit_costs_nothing(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE]), detections(CAT, (400, 10, 500, 60, 0.2, 0)))
    assert came.ap_50_95 == pytest.approx(1)


def test_half_of_the_objects(tmp_path: Path) -> None:
    """Precision is 1 at the 51 recalls from 0 to 0.50, and 0 beyond."""
    came = metrics(truth(tmp_path, [CAT_THERE, box(20, 3, [10, 10, 100, 100])]), detections(CAT))
    assert came.ap_50_95 == pytest.approx(51 / 101)


def test_a_loose_box_counts_up_to_its_iou(tmp_path: Path) -> None:
    """IoU 0.8 is enough at 0.50 to 0.80, seven of the ten."""
    came = metrics(truth(tmp_path, [CAT_THERE]), detections((50, 50, 130, 150, 0.9, 0)))
    assert (came.ap_50_95, came.ap_50, came.ap_75) == pytest.approx((0.7, 1, 1))


def test_a_second_box_on_the_same_object_is_a_false_alarm(tmp_path: Path) -> None:
    known = truth(tmp_path, [CAT_THERE, box(10, 3, [300, 200, 100, 100])])
    came = metrics(known, detections(CAT, (*CAT[:4], 0.8, 0), (300, 200, 400, 300, 0.7, 0)))
    assert came.ap_50 == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_crowds_are_neither_to_be_found_nor_false_alarms(tmp_path: Path) -> None:
    crowd = box(10, 3, [200, 0, 300, 300], iscrowd=1)
    inside: list[Row] = [(210, 20, 260, 80, 0.99, 0), (300, 100, 350, 160, 0.98, 0)]
    came = metrics(truth(tmp_path, [CAT_THERE, crowd]), detections(*inside, CAT))
    assert came.ap_50_95 == pytest.approx(1)
    assert came.objects == 1
    assert came.classes[0].best is not None
    assert came.classes[0].best.precision == 1
    outside = metrics(truth(tmp_path, [CAT_THERE, crowd]), detections((0, 310, 80, 390, 0.99, 0), CAT))
    assert outside.ap_50_95 == pytest.approx(0.5)


def test_a_category_with_crowds_only_does_not_count(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE, {**DOG_THERE, "iscrowd": 1}]), detections(CAT))
    assert came.ap_50_95 == pytest.approx(1)
    assert [each.name for each in came.classes] == ["cat"]


def test_images_without_objects_give_false_alarms(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE]), detections(CAT), detections((0, 0, 90, 90, 0.95, 0)))
    assert came.ap_50_95 == pytest.approx(0.5)


def test_categories_without_objects_do_not_count(tmp_path: Path) -> None:
    came = metrics(truth(tmp_path, [CAT_THERE]), detections(CAT, DOG))
    assert came.ap_50_95 == pytest.approx(1)


def test_an_unknown_category_counts_as_nothing_found(tmp_path: Path) -> None:
    known = truth(tmp_path, [CAT_THERE, DOG_THERE])
    found = detections(CAT, names=("cat",))
    with_it, without_it = metrics(known, found), metrics(known, found, known_only=True)
    assert with_it.ap_50_95 == pytest.approx(0.5)
    assert with_it.objects == 2
    assert [(each.name, each.known) for each in with_it.classes] == [("cat", True), ("dog", False)]
    assert without_it.ap_50_95 == pytest.approx(1)
    assert without_it.objects == 1


def test_classes_in_another_order(tmp_path: Path) -> None:
    swapped = detections((*CAT[:5], 1), (*DOG[:5], 0), names=("DOG", "Cat"))
    assert metrics(truth(tmp_path, [CAT_THERE, DOG_THERE]), swapped).ap_50_95 == pytest.approx(1)


def test_text_as_ids(tmp_path: Path) -> None:
    categories = [{"id": "c", "name": "cat"}, {"id": "7", "name": "dog"}]
    known = truth(
        tmp_path,
        [box("first", "c", [50, 50, 100, 100]), box("first", 7, [300, 100, 100, 200])],
        images=("first", "second"),
        categories=categories,
    )
    came = metrics(known, detections(CAT, DOG))
    assert came.ap_50_95 == pytest.approx(1)
    assert [each.category_id for each in came.classes] == ["c", "7"]


def random_case(folder: Path) -> tuple[GroundTruth, list[Detections]]:
    """Thirty images in which some objects are missed, moved or named wrongly, and some boxes invented."""
    generator = np.random.default_rng(5)
    annotations: list[dict[str, Any]] = []
    found = []
    for image in range(30):
        rows: list[Row] = []
        for _ in range(generator.integers(0, 9)):
            left, top = generator.uniform(0, 300, 2)
            width, height = generator.uniform(5, 200, 2)
            class_id = int(generator.integers(0, 2))
            crowd = int(generator.random() < 0.1)
            annotations.append(box(image, CATEGORIES[class_id]["id"], [left, top, width, height], iscrowd=crowd))
            moved = np.array([left, top, left + width, top + height]) + generator.normal(0, 8, 4)
            if generator.random() < 0.8 and (moved[2:] > moved[:2]).all():
                rows.append((*moved.tolist(), round(generator.random(), 2), class_id))
            if generator.random() < 0.4:
                rows.append((left, top, left + 60, top + 60, round(generator.random(), 2), 1 - class_id))
        found.append(detections(*sorted(rows, key=lambda row: -row[4])))
    return truth(folder, annotations, images=range(30)), found


def test_the_curve_of_each_class_agrees_with_coco(tmp_path: Path) -> None:
    """Best F1 comes from our own matching, average precision from faster-coco-eval: they see the same hits."""
    from sightline.evaluation.metrics import _PerClass
    from sightline.evaluation.tables import FoundBoxes

    known, found = random_case(tmp_path)
    match = match_categories(("cat", "dog"), known.categories)
    came = metrics(known, *found)
    assert 0.2 < (came.ap_50 or 0) < 0.9
    per_class = _PerClass(known, FoundBoxes.of(known, dict(enumerate(found)), match), match)
    for category, each in enumerate(came.classes):
        curve, _ = per_class._curve(category, each.objects)
        assert curve.average_precision() == pytest.approx(each.ap_50, abs=1e-9)
