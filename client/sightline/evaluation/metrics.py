"""COCO's average precision of what was found, as faster-coco-eval computes it, and one operating point a class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sightline.detections import Detections
from sightline.errors import MissingDependencyError
from sightline.precision_recall import Curve, OperatingPoint, judge

from .annotations import GroundTruth, TrueObject
from .categories import CategoryMatch
from .tables import FoundBoxes, TrueBoxes, as_coco

OPERATING_IOU = 0.5
"""IoU at which precision, recall and F1 are told."""
MOST_PER_CATEGORY = 100
"""COCO's: boxes of one category in one image that count, the best ones."""
_IOU_50, _IOU_75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """One category that has objects.

    Attributes:
        name: the annotations' name.
        category_id: the annotations' id.
        known: whether the detector has such a class; where not, everything is 0.
        objects: how many there are to find, crowd regions not counted.
        found: how many boxes of it were found, at every score.
        ap_50_95: average precision, mean over the IoUs 0.50 to 0.95 in steps of 0.05; 0 to 1.
        ap_50: at IoU 0.5.
        ap_75: at IoU 0.75.
        best: the score threshold with the best F1 at IoU 0.5; None where nothing was found.
        curve_50: (101,): COCO's precision at the recalls 0.00 to 1.00, at IoU 0.5.
    """

    name: str
    category_id: int | str
    known: bool
    objects: int
    found: int
    ap_50_95: float
    ap_50: float
    ap_75: float
    best: OperatingPoint | None
    curve_50: npt.NDArray[np.float64] = field(repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """What a detector reached over a set of images; every share 0 to 1, None where there is nothing to find.

    Attributes:
        images: how many.
        objects: how many there are to find, crowd regions not counted.
        found: how many boxes of known categories were found.
        ap_50_95: mean average precision over categories and IoUs 0.50 to 0.95.
        ap_50: at IoU 0.5.
        ap_75: at IoU 0.75.
        ap_small: of objects below 32 x 32 pixels in area; as `ap_50_95`.
        ap_medium: of those up to 96 x 96.
        ap_large: of larger ones.
        recall: share of the objects found, mean over categories and IoUs.
        classes: the categories that the means are over.
    """

    images: int
    objects: int
    found: int
    ap_50_95: float | None
    ap_50: float | None
    ap_75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    recall: float | None
    classes: tuple[ClassMetrics, ...]

    def curve_50(self) -> npt.NDArray[np.float64]:
        """(101,): mean precision over the categories at the recalls 0.00 to 1.00, at IoU 0.5; 0 without any."""
        curves = [each.curve_50 for each in self.classes]
        return np.mean(curves, axis=0) if curves else np.zeros(101)


def check_installed(*, plot: bool = False) -> None:
    """Fail before the work, not behind it.

    Args:
        plot: whether something is to be drawn as well.

    Raises:
        MissingDependencyError: the `evaluate` extra is not installed.
    """
    try:
        import faster_coco_eval  # noqa: F401

        if plot:
            import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline evaluate` needs the evaluate extra ({error}): `make install` in a checkout"
        ) from error


def measure(
    truth: GroundTruth, found: Mapping[int, Detections], match: CategoryMatch, *, known_only: bool = False
) -> Metrics:
    """Compare what was found with what there is.

    Args:
        truth: the images to count, all of them.
        found: detections by index into `truth.images`; an image without an entry has none.
        match: the category of each class.
        known_only: leave categories out of the means that the detector does not know; without it they count as 0.

    Raises:
        MissingDependencyError: the `evaluate` extra is not installed.
    """
    check_installed()
    objects = truth.objects_by_category()
    counted = sorted(objects)
    if known_only:
        counted = [category for category in counted if category not in match.categories_left_over]
    boxes = FoundBoxes.of(truth, found, match)
    precision, recall = _accumulate(truth, boxes, counted)
    per_class = _PerClass(truth, boxes, match)
    classes = tuple(per_class.metrics(category, precision[:, :, place]) for place, category in enumerate(counted))
    return Metrics(
        images=len(truth.images),
        objects=sum(objects[category] for category in counted),
        found=len(boxes.scores),
        ap_50_95=_mean(precision[..., _ALL]),
        ap_50=_mean(precision[_IOU_50, ..., _ALL]),
        ap_75=_mean(precision[_IOU_75, ..., _ALL]),
        ap_small=_mean(precision[..., _SMALL]),
        ap_medium=_mean(precision[..., _MEDIUM]),
        ap_large=_mean(precision[..., _LARGE]),
        recall=_mean(recall[..., _ALL]),
        classes=classes,
    )


def _accumulate(
    truth: GroundTruth, boxes: FoundBoxes, counted: Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Precision [10 IoUs, 101 recalls, categories, 4 areas] and recall [10, categories, 4]; -1 without objects."""
    from faster_coco_eval import COCO, COCOeval_faster

    if not counted:
        return np.full((10, 101, 0, 4), -1.0), np.full((10, 0, 4), -1.0)
    known = COCO(as_coco(truth))
    evaluation = COCOeval_faster(known, known.loadRes(boxes.as_coco()), "bbox")
    evaluation.params.catIds = [category + 1 for category in counted]
    evaluation.params.maxDets = [MOST_PER_CATEGORY]
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation.eval["precision"][..., -1], evaluation.eval["recall"][..., -1]


class _PerClass:
    """The measures of single categories."""

    def __init__(self, truth: GroundTruth, found: FoundBoxes, match: CategoryMatch) -> None:
        self._truth = truth
        self._found = found
        self._unknown = frozenset(match.categories_left_over)
        self._objects = defaultdict[int, dict[int, list[TrueObject]]](lambda: defaultdict(list))
        for each in truth.objects:
            self._objects[each.category][each.image].append(each)

    def metrics(self, category: int, precision: npt.NDArray[np.float64]) -> ClassMetrics:
        """Those of one category, whose precision is [10 IoUs, 101 recalls, 4 areas]."""
        objects = sum(not each.crowd for group in self._objects[category].values() for each in group)
        curve, found = self._curve(category, objects)
        return ClassMetrics(
            name=self._truth.categories[category].name,
            category_id=self._truth.categories[category].id,
            known=category not in self._unknown,
            objects=objects,
            found=found,
            ap_50_95=float(precision[..., _ALL].mean()),
            ap_50=float(precision[_IOU_50, :, _ALL].mean()),
            ap_75=float(precision[_IOU_75, :, _ALL].mean()),
            best=curve.best_f1(),
            curve_50=precision[_IOU_50, :, _ALL],
        )

    def _curve(self, category: int, objects: int) -> tuple[Curve, int]:
        """The curve at IoU 0.5, which unlike COCO's is not read at 101 recalls only, and the number of boxes found."""
        scores, outcomes, number = [np.zeros(0)], [np.zeros(0, np.int8)], 0
        for image, places in self._found.of_category(category):
            number += len(places)
            order = np.argsort(-self._found.scores[places], kind="stable")
            best = places[order[:MOST_PER_CATEGORY]]
            true = TrueBoxes.of(self._objects[category].get(image, []))
            own = self._found.scores[best]
            scores.append(own)
            outcomes.append(
                judge(
                    self._found.boxes_xyxy[best],
                    own,
                    true.boxes_xyxy,
                    crowd=true.crowd,
                    iou_threshold=OPERATING_IOU,
                )
            )
        return Curve.of(np.concatenate(scores), np.concatenate(outcomes), objects=objects), number


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    """Over what has objects, which COCO marks by not being -1."""
    counted = values[values > -1]
    return float(counted.mean()) if counted.size else None
