"""Torchvision's detector as it runs in its own framework."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torchvision
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.transforms.functional import normalize

from sightline_export.pictures import Picture
from sightline_export.pixels import IMAGENET
from sightline_export.reference import Found

from .networks import PAD_MULTIPLE
from .steps import padded


@dataclass(frozen=True, kw_only=True)
class TorchvisionDetector:
    """A `SourceDetector`.

    Attributes:
        model: torchvision's, as its builder made it; its own transform brings pictures to size and back.
        is_normalised_twice: whether pictures are normalised before they come to it, as Detecto's `predict` does.
        first_label: the label of class id 0; those below stand for the background.
        max_detections: per picture.
    """

    model: Any
    is_normalised_twice: bool
    first_label: int
    max_detections: int

    @property
    def description(self) -> str:
        """What runs it, with its version."""
        normalised = ", with Detecto's normalisation" if self.is_normalised_twice else ""
        return f"torchvision {torchvision.__version__}{normalised}"

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        """Detections in a picture of any size, best first, in its pixels."""
        image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1).to(torch.float32) / 255
        if self.is_normalised_twice:
            image = normalize(image, list(IMAGENET.mean), list(IMAGENET.std))
        with torch.no_grad():
            found = self.model([image])[0]
        boxes, scores, class_ids = self._columns(found)
        kept = np.flatnonzero((class_ids >= 0) & (scores >= np.float32(score_threshold)))[: self.max_detections]
        return Found(boxes[kept], scores[kept], class_ids[kept])

    def raw(self, pictures: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """[N, K, 6] for pictures [N, 3, H, W] that are normalised and of the network's size already."""
        return np.stack([self._raw(torch.from_numpy(picture)) for picture in pictures])

    def _raw(self, picture: Tensor) -> npt.NDArray[np.float32]:
        transform = self.model.transform
        self.model.transform = _Ready(multiple=transform.size_divisible)
        try:
            with torch.no_grad():
                found = self.model([picture])[0]
        finally:
            self.model.transform = transform
        boxes, scores, class_ids = self._columns(found)
        height, width = picture.shape[1:]
        rows = np.zeros((self.slots, 6), np.float32)
        rows[: len(scores), :4] = boxes / np.array([width, height, width, height], np.float32)
        rows[: len(scores), 4] = np.where(class_ids >= 0, scores, 0)
        rows[: len(scores), 5] = np.maximum(class_ids, 0)
        return rows

    @property
    def slots(self) -> int:
        """K, the most that the model finds in a picture."""
        return detections_per_image(self.model)

    def _columns(
        self, found: dict[str, Tensor]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        class_ids = found["labels"].numpy().astype(np.int64) - self.first_label
        return found["boxes"].numpy(), found["scores"].numpy(), class_ids


def detections_per_image(model: Any) -> int:
    """The most that a torchvision detector finds in a picture."""
    return int((getattr(model, "roi_heads", None) or model).detections_per_img)


class _Ready(torch.nn.Module):
    """In the place of torchvision's transform, for one picture that has gone through it but for the padding."""

    def __init__(self, *, multiple: int) -> None:
        super().__init__()
        assert multiple in (1, PAD_MULTIPLE)
        self.multiple = multiple

    def forward(self, images: list[Tensor], targets: None = None) -> tuple[ImageList, None]:
        """The picture, padded, and its size without."""
        (image,) = images
        return ImageList(padded(image[None], self.multiple), [(image.shape[1], image.shape[2])]), targets

    def postprocess(self, found: list[dict[str, Tensor]], _: object, __: object) -> list[dict[str, Tensor]]:
        """Boxes as they are."""
        return found
