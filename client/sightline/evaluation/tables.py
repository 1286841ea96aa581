"""Ground truth and findings in the forms that the measures want."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.detections import Detections

from .annotations import GroundTruth, TrueObject
from .categories import CategoryMatch


@dataclass(frozen=True, eq=False)
class FoundBoxes:
    """Every box found of a known category, image by image.

    Attributes:
        images: (N,), rising; indices into `GroundTruth.images`.
        categories: (N,), indices into `GroundTruth.categories`.
        boxes_xyxy: (N, 4), pixels.
        scores: (N,).
    """

    images: npt.NDArray[np.int64]
    categories: npt.NDArray[np.int64]
    boxes_xyxy: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]

    @classmethod
    def of(cls, truth: GroundTruth, found: Mapping[int, Detections], match: CategoryMatch) -> FoundBoxes:
        """From detections by index of the image."""
        category_of = np.array([-1 if each is None else each for each in match.category_of_class], np.int64)
        images, categories, boxes, scores = [], [], [np.zeros((0, 4))], [np.zeros(0)]
        for image in range(len(truth.images)):
            if (detections := found.get(image)) is None:
                continue
            of_each = category_of[detections.class_ids]
            known = of_each >= 0
            images.append(np.full(known.sum(), image))
            categories.append(of_each[known])
            boxes.append(detections.boxes_xyxy[known].astype(np.float64))
            scores.append(detections.scores[known].astype(np.float64))
        none = np.zeros(0, np.int64)
        return cls(
            np.concatenate([none, *images]),
            np.concatenate([none, *categories]),
            np.concatenate(boxes),
            np.concatenate(scores),
        )

    def of_category(self, category: int) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Each image with boxes of the category, and their places in the arrays."""
        mine = np.flatnonzero(self.categories == category)
        images, begins = np.unique(self.images[mine], return_index=True)
        if images.size:
            yield from zip(images.tolist(), np.split(mine, begins[1:]), strict=True)

    def as_coco(self) -> list[dict[str, Any]]:
        """COCO results; images and categories are numbered as in `as_coco`."""
        sides = self.boxes_xyxy[:, 2:] - self.boxes_xyxy[:, :2]
        boxes_xywh = np.concatenate([self.boxes_xyxy[:, :2], sides], axis=1).tolist()
        # Without an own `segmentation` each box would get a polygon that nobody looks at.
        return [
            {"image_id": image + 1, "category_id": category + 1, "bbox": box, "score": score, "segmentation": None}
            for image, category, box, score in zip(
                self.images.tolist(), self.categories.tolist(), boxes_xywh, self.scores.tolist(), strict=True
            )
        ]


@dataclass(frozen=True, eq=False)
class TrueBoxes:
    """The objects of one category in one image.

    Attributes:
        boxes_xyxy: (M, 4), pixels.
        crowd: (M,), which of them are regions with many objects.
    """

    boxes_xyxy: npt.NDArray[np.float64]
    crowd: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, objects: list[TrueObject]) -> TrueBoxes:
        """From the objects."""
        xywh = np.array([each.box_xywh for each in objects], np.float64).reshape(-1, 4)
        corners = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
        return cls(corners, np.array([each.crowd for each in objects], np.bool_))


def as_coco(truth: GroundTruth) -> dict[str, Any]:
    """A COCO data set; images and categories are their indices + 1, since evaluators take an id of 0 for none."""
    return {
        "images": [{"id": number} for number in range(1, len(truth.images) + 1)],
        "categories": [{"id": number, "name": each.name} for number, each in enumerate(truth.categories, start=1)],
        "annotations": [
            {
                "id": number,
                "image_id": each.image + 1,
                "category_id": each.category + 1,
                "bbox": list(each.box_xywh),
                "area": each.area,
                "iscrowd": int(each.crowd),
            }
            for number, each in enumerate(truth.objects, start=1)
        ],
    }
