"""What can be chosen about an export."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sightline.contract import (
    AUTO_PRECISION,
    DEFAULT_IOU_THRESHOLD,
    DEFAULT_MAX_DETECTIONS,
    EXPORT_PRECISIONS,
    ExportPrecision,
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
        precision: arithmetic of the network; everything behind it is FP32 always. `bf16` is asked of the engine and
            leaves the graph in FP32, `fp16` and `int8` are types in the graph.
        image_size: side of the square network input in pixels; None takes the model's own.
        rect: have the network look at the rectangle around the picture only, instead of the whole square. None does so
            where network and file allow it, but for `fp16`.
        iou_threshold: IoU above which the weaker of two boxes of one class is dropped, 0 to 1.
        max_detections: output slots per image, at least 1.
        nms: `operator` is ONNX's NonMaxSuppression (CPU), `static` the matrix form without data-dependent shapes
            (TensorRT, CUDA), `none` takes a checkpoint's NMS-free head. Networks that end in finished detections
            get none of them. None takes `static` for `fp16`, which is for GPUs, else `operator`.
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

    precision: ExportPrecision = "fp32"
    image_size: int | None = None
    rect: bool | None = None
    iou_threshold: float = DEFAULT_IOU_THRESHOLD
    max_detections: int = DEFAULT_MAX_DETECTIONS
    nms: NmsKind | None = None
    classes: tuple[str, ...] | None = None
    multi_label: bool = False
    family: str | None = None
    max_pixels: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        _check_choice("precision", self.precision, EXPORT_PRECISIONS)
        if self.nms is not None:
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

    @property
    def nms_kind(self) -> NmsKind:
        """The suppression that it gets."""
        return self.nms or ("static" if self.precision == "fp16" else "operator")


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


def check_calibration(precision: str, folder: Path | None) -> None:
    """Accept calibration pictures where they are needed, and nowhere else; `auto` can do without.

    Raises:
        InvalidOptionError: they are missing, or nothing is made of them.
    """
    if precision == "int8" and folder is None:
        raise InvalidOptionError(
            "precision 'int8' needs pictures to calibrate on: give a folder of some hundred like those that the "
            "detector will see with --calibration, other ones than it is judged on"
        )
    if precision not in ("int8", AUTO_PRECISION) and folder is not None:
        raise InvalidOptionError(f"calibration pictures are for precision 'int8', not for {precision!r}")


def _check_choice(what: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InvalidOptionError(f"{what} {value!r} is not known; choose one of {', '.join(allowed)}")


def _check_at_least_one(what: str, value: int) -> None:
    if value < 1:
        raise InvalidOptionError(f"{what} is {value}; it must be at least 1")
