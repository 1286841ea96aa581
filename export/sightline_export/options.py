"""What can be chosen about an export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sightline.contract import (
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    PRECISIONS,
    Precision,
    check_fraction,
    check_image_size,
)
from sightline.errors import InvalidOptionError

from .families import family

NmsKind = Literal["operator", "static", "none"]
NMS_KINDS: tuple[NmsKind, ...] = get_args(NmsKind)


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Choices that are fixed in the exported files.

    Attributes:
        precision: arithmetic that the engine is asked for; the graph itself stays FP32.
        image_size: side of the square network input in pixels; None takes the model's own.
        iou_threshold: IoU above which the weaker of two boxes of one class is dropped, 0 to 1.
        max_detections: output slots per image, at least 1.
        nms: `operator` is ONNX's NonMaxSuppression (CPU), `static` the matrix form without data-dependent shapes
            (TensorRT, CUDA), `none` takes a checkpoint's NMS-free head. Networks that end in finished detections
            get none of them.
        classes: one name per class id; None takes the model's own.
        multi_label: whether every class of a box above the threshold is a detection of its own, as in the evaluations
            that published tables come from; without it, a box has its best class only.
        family: sort of network (a name of `families.FAMILIES`) where the file alone does not tell; else None.
        max_pixels: largest width x height that is decoded, for every detector of this input size in the repository;
            None keeps what stands there, else `contract.DEFAULT_MAX_PIXELS`.
        seed: for the random weights of an architecture given as `.yaml`.

    Raises:
        InvalidOptionError: a value is not allowed.
    """

    precision: Precision = "fp32"
    image_size: int | None = None
    iou_threshold: float = DEFAULT_IOU_THRESHOLD
    max_detections: int = DEFAULT_MAX_DETECTIONS
    nms: NmsKind = "operator"
    classes: tuple[str, ...] | None = None
    multi_label: bool = False
    family: str | None = None
    max_pixels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, PRECISIONS)
        _check_choice("nms", self.nms, NMS_KINDS)
        if self.image_size is not None:
            check_image_size(self.image_size)
        check_fraction("IoU threshold", self.iou_threshold)
        _check_at_least_one("max_detections", self.max_detections)
        if self.max_pixels is not None:
            _check_at_least_one("max_pixels", self.max_pixels)
        if self.family is not None:
            family(self.family)
        if self.classes is not None:
            check_class_names(self.classes)


def check_class_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """`names` themselves if results can be told apart by them.

    Raises:
        InvalidOptionError: there are none, one is empty or not printable, or one stands twice.
    """
    if not names:
        raise InvalidOptionError("there are no class names; give one per class, such as --classes person,car")
    unreadable = [name for name in names if not name.strip() or not name.isprintable()]
    if unreadable:
        raise InvalidOptionError(f"class name {unreadable[0]!r} is not allowed: it must be printable text")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidOptionError(f"class names stand twice: {', '.join(twice)}; give each class its own with --classes")
    return names


def _check_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidOptionError(f"{what} {value!r} is not known; choose one of {', '.join(allowed)}")


def _check_at_least_one(what: str, value: int) -> None:
    if value < 1:
        raise InvalidOptionError(f"{what} is {value}; it must be at least 1")
