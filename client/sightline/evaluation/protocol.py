"""What a figure depends on besides the detector: stated once, printed and written with every result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sightline.contract import SCORE_FLOOR
from sightline.detector_info import DetectorInfo

from .metrics import MOST_PER_CATEGORY

Labels = Literal["best class", "every class"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How detections are made and counted, the same for everything that is compared.

    Attributes:
        labels: whether a box counts for its best class or for every class above the threshold.
        score_threshold: lowest score of a detection, 0 to 1.
        preprocessing: name of the detector's preprocessing, such as `letterbox_640`.
        iou_threshold: IoU above which the detector's suppression drops the weaker box, 0 to 1.
        max_detections: detections per image, at the most.
        max_per_category: those of them that COCO's measure takes for each category.
        known_categories_only: whether categories that the detector does not know are left out of the means.
    """

    labels: Labels
    score_threshold: float
    preprocessing: str
    iou_threshold: float
    max_detections: int
    max_per_category: int = MOST_PER_CATEGORY
    known_categories_only: bool = False

    @classmethod
    def of(cls, info: DetectorInfo, *, known_categories_only: bool = False) -> Protocol:
        """The one under which a served detector is evaluated: its own settings, at the lowest threshold there is."""
        return cls(
            labels="every class" if info.multi_label else "best class",
            score_threshold=max(SCORE_FLOOR, info.score_floor),
            preprocessing=info.preprocessing.model_name,
            iou_threshold=info.iou_threshold,
            max_detections=info.max_detections,
            known_categories_only=known_categories_only,
        )

    def __str__(self) -> str:
        """For people, on one line."""
        labels = "every class of a box" if self.labels == "every class" else "best class per box"
        why = "" if self.score_threshold <= SCORE_FLOOR else f" (the detector's floor; usual is {SCORE_FLOOR:g})"
        which = "the detector knows" if self.known_categories_only else "have objects"
        return (
            f"{labels}, scores from {self.score_threshold:g}{why}, {self.preprocessing}, NMS at IoU "
            f"{self.iou_threshold:g}, at most {self.max_detections} detections an image; COCO's AP, mean over the "
            f"categories that {which}"
        )
