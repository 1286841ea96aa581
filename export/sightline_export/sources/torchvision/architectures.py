"""The detectors of torchvision that can be exported, and how a state_dict shows which one it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing

Kind = Literal["region", "retina", "ssd"]
FROZEN_MARK = "num_batches_tracked"
"""In the names of tensors that only a batch norm has which was trained; frozen ones have none."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One of torchvision's detectors.

    Attributes:
        builder: its function in `torchvision.models.detection`.
        kind: what lies behind its backbone.
        marks: tensors that all of its state_dicts have, and no other architecture's.
        class_tensor: the tensor whose first axis grows with the number of classes.
        rows_per_class: by how much.
        preprocessing: how it brings pictures to size, if nothing else was said when it was built.
        stride: largest stride, in pixels.
    """

    builder: str
    kind: Kind
    marks: tuple[str, ...]
    class_tensor: str
    rows_per_class: int
    preprocessing: Preprocessing
    stride: int

    def fits(self, state: Mapping[str, Any]) -> bool:
        """Whether tensors of these names are its own."""
        return all(mark in state for mark in self.marks)

    def label_count(self, state: Mapping[str, Any]) -> int:
        """Labels that it tells apart, the background among them."""
        return int(state[self.class_tensor].shape[0]) // self.rows_per_class

    def at(self, image_size: int | None) -> Preprocessing:
        """Its preprocessing, with another shorter side (None keeps it) and the longer one in proportion.

        Raises:
            InvalidOptionError: it has one size only.
        """
        own = self.preprocessing
        if image_size in (None, own.sides[0]):
            return own
        if own.kind != "resize":
            raise InvalidOptionError(
                f"image size {image_size} is not possible: {self.builder} takes {own.sides[0]} pixels only; leave out "
                "--imgsz"
            )
        return Preprocessing.resize(shorter=image_size, longest=round(own.sides[1] * image_size / own.sides[0]))


_PREDICTOR = "roi_heads.box_predictor.cls_score.weight"
_RESIZE = Preprocessing.resize(shorter=800, longest=1333)
_RESNET = Architecture(
    builder="fasterrcnn_resnet50_fpn",
    kind="region",
    marks=("backbone.body.layer1.0.conv1.weight", "roi_heads.box_head.fc6.weight", _PREDICTOR),
    class_tensor=_PREDICTOR,
    rows_per_class=1,
    preprocessing=_RESIZE,
    stride=64,
)
_MOBILENET = Architecture(
    builder="fasterrcnn_mobilenet_v3_large_fpn",
    kind="region",
    marks=("backbone.body.0.0.weight", "roi_heads.box_head.fc6.weight", _PREDICTOR),
    class_tensor=_PREDICTOR,
    rows_per_class=1,
    preprocessing=_RESIZE,
    stride=64,
)
_MOBILENET_320 = Architecture(
    builder="fasterrcnn_mobilenet_v3_large_320_fpn",
    kind="region",
    marks=_MOBILENET.marks,
    class_tensor=_PREDICTOR,
    rows_per_class=1,
    preprocessing=Preprocessing.resize(shorter=320, longest=640),
    stride=64,
)
_RETINANET = Architecture(
    builder="retinanet_resnet50_fpn",
    kind="retina",
    marks=("backbone.body.layer1.0.conv1.weight", "head.classification_head.cls_logits.weight"),
    class_tensor="head.classification_head.cls_logits.weight",
    rows_per_class=9,
    preprocessing=_RESIZE,
    stride=128,
)
_SSDLITE = Architecture(
    builder="ssdlite320_mobilenet_v3_large",
    kind="ssd",
    marks=("backbone.features.0.0.0.weight", "head.classification_head.module_list.0.0.0.weight"),
    class_tensor="head.classification_head.module_list.0.1.weight",
    rows_per_class=6,
    preprocessing=Preprocessing.stretch_float(320),
    stride=320,
)


@dataclass(frozen=True, kw_only=True)
class Variant:
    """An architecture as somebody trains it: what `--family` names.

    Attributes:
        architecture: which.
        frozen_epsilon: what stands under the root in its frozen batch norms beside the variance.
        is_normalised_twice: by Detecto, and then by torchvision once more.
        only_frozen: its files have frozen batch norms always.
    """

    architecture: Architecture
    frozen_epsilon: float = 1e-5
    is_normalised_twice: bool = False
    only_frozen: bool = False


VARIANTS: dict[str, Variant] = {
    # Torchvision sets epsilon to 0 in the models that it gives COCO weights, and only in those with a ResNet.
    "detecto": Variant(architecture=_RESNET, frozen_epsilon=0.0, is_normalised_twice=True, only_frozen=True),
    "detecto_mobilenet": Variant(architecture=_MOBILENET, is_normalised_twice=True, only_frozen=True),
    "detecto_mobilenet_320": Variant(architecture=_MOBILENET_320, is_normalised_twice=True, only_frozen=True),
    "fasterrcnn_resnet50_fpn": Variant(architecture=_RESNET, frozen_epsilon=0.0),
    "fasterrcnn_resnet50_fpn_imagenet": Variant(architecture=_RESNET, only_frozen=True),
    "fasterrcnn_mobilenet_v3_large_fpn": Variant(architecture=_MOBILENET),
    "fasterrcnn_mobilenet_v3_large_320_fpn": Variant(architecture=_MOBILENET_320),
    "retinanet_resnet50_fpn": Variant(architecture=_RETINANET, frozen_epsilon=0.0),
    "retinanet_resnet50_fpn_imagenet": Variant(architecture=_RETINANET, only_frozen=True),
    "ssdlite320_mobilenet_v3_large": Variant(architecture=_SSDLITE),
}
"""By family."""

OTHERS: dict[str, str] = {
    "roi_heads.mask_predictor.mask_fcn_logits.weight": "a Mask R-CNN",
    "roi_heads.keypoint_predictor.kps_score_lowres.weight": "a Keypoint R-CNN",
    "roi_heads.box_head.0.0.weight": "a fasterrcnn_resnet50_fpn_v2",
    "head.regression_head.bbox_ctrness.weight": "an FCOS",
    "head.classification_head.conv.0.1.weight": "a retinanet_resnet50_fpn_v2",
    "backbone.scale_weight": "an SSD300",
    "fc.weight": "a classifier",
    "classifier.weight": "a classifier",
    "classifier.3.weight": "a classifier",
    "class_embed.weight": "a DETR",
}
"""What else a state_dict may be of, by a tensor that shows it."""


def is_frozen(state: Mapping[str, Any]) -> bool:
    """Whether the batch norms of a state_dict are frozen ones."""
    return not any(name.endswith(FROZEN_MARK) for name in state)


def fitting_families(state: Mapping[str, Any]) -> list[str]:
    """The families that a state_dict may be of, by the names of its tensors; [] for none."""
    if any(mark in state for mark in OTHERS):
        return []
    frozen = is_frozen(state)
    return [
        name
        for name, variant in VARIANTS.items()
        if variant.architecture.fits(state) and (frozen or not variant.only_frozen)
    ]
