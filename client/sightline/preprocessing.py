"""How a picture is brought to the size that a network takes, and the model that does it.

`letterbox_640` fits a picture into a square and fills the rest with grey, as YOLO wants it. `rect_640_32` gives that
square too, and says which rectangle of it, in multiples of 32 pixels, holds the picture: the network looks at no more.
`resize_800_1333` brings the shorter side to 800 pixels unless the longer one would exceed 1333, as torchvision's
detectors want it; its pictures vary in size. `stretch_320` makes a square of it and does not keep the aspect;
`stretch_float_320` is the same for torchvision's detectors, whose pictures are not rounded to whole grey levels.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from sightline.boxes import Letterbox, letterbox, resized_shape
from sightline.contract import (
    DEFAULT_IMAGE_SIZE,
    ENCODED,
    MAX_BATCH_SIZE,
    ORIGINAL_SHAPE,
    RECTANGLE,
    SCORE_THRESHOLD,
    TensorSpec,
    check_image_size,
)
from sightline.errors import InvalidOptionError

PreprocessingKind = Literal["letterbox", "rect", "resize", "stretch", "stretch_float"]
KINDS: tuple[PreprocessingKind, ...] = get_args(PreprocessingKind)
_WITH_TWO_SIDES: tuple[PreprocessingKind, ...] = ("rect", "resize")
_NOT_ROUNDED: tuple[PreprocessingKind, ...] = ("resize", "stretch_float")
LARGEST_SIDE = 4096
"""Longest side, in pixels, that a resize may be asked for."""
_NAME = re.compile(rf"({'|'.join(KINDS)})_([1-9]\d{{0,4}})(?:_([1-9]\d{{0,4}}))?")


@dataclass(frozen=True)
class Preprocessing:
    """One way of bringing pictures to size; detectors of the same way share its model.

    Attributes:
        kind: `resize` keeps the aspect and pads nothing, the others make squares.
        sides: side of the square in pixels, and of a rect the stride that the rectangle's sides are multiples of; of a
            resize, what the shorter side becomes and the most that the longer one may be.

    Raises:
        InvalidOptionError: the sides are not allowed for the kind.
    """

    kind: PreprocessingKind
    sides: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidOptionError(f"preprocessing {self.kind!r} is not known; choose one of {', '.join(KINDS)}")
        if self.kind != "resize":
            side, *stride = self.sides
            check_image_size(side)
            _check_stride(stride, side=side, wanted=self.kind == "rect")
            return
        shorter, longest = self.sides
        if not 1 <= shorter <= longest <= LARGEST_SIDE:
            raise InvalidOptionError(
                f"a resize to a shorter side of {shorter} and a longer one of at most {longest} pixels is not allowed: "
                f"1 <= shorter <= longest <= {LARGEST_SIDE}, such as 800 and 1333"
            )

    @classmethod
    def letterbox(cls, image_size: int = DEFAULT_IMAGE_SIZE) -> Preprocessing:
        """Into a square of `image_size` pixels, with grey borders."""
        return cls("letterbox", (image_size,))

    @classmethod
    def rect(cls, image_size: int = DEFAULT_IMAGE_SIZE, *, stride: int = 32) -> Preprocessing:
        """The same, for a network that looks at a rectangle of it whose sides are multiples of `stride` pixels."""
        return cls("rect", (image_size, stride))

    @classmethod
    def stretch(cls, image_size: int) -> Preprocessing:
        """Into a square of `image_size` pixels, without borders."""
        return cls("stretch", (image_size,))

    @classmethod
    def stretch_float(cls, image_size: int) -> Preprocessing:
        """The same as `stretch`, not rounded to whole grey levels."""
        return cls("stretch_float", (image_size,))

    @classmethod
    def resize(cls, *, shorter: int, longest: int) -> Preprocessing:
        """To a shorter side of `shorter` pixels, or a longer one of `longest` where that is smaller."""
        return cls("resize", (shorter, longest))

    @classmethod
    def parse(cls, model_name: str) -> Preprocessing:
        """The reverse of `model_name`.

        Raises:
            InvalidOptionError: no name of a preprocessing model.
        """
        found = _NAME.fullmatch(model_name)
        if not found or (found[3] is not None) != (found[1] in _WITH_TWO_SIDES):
            raise InvalidOptionError(
                f"{model_name!r} is no preprocessing model; such names are letterbox_640, rect_640_32, stretch_320 and "
                "resize_800_1333"
            )
        kind = next(kind for kind in KINDS if kind == found[1])
        return cls(kind, tuple(int(side) for side in found.groups()[1:] if side))

    @property
    def model_name(self) -> str:
        """Name of the Triton model, which says everything."""
        return "_".join((self.kind, *map(str, self.sides)))

    @property
    def image_size(self) -> int | None:
        """Side of the square in pixels; None where pictures vary in size."""
        return None if self.kind == "resize" else self.sides[0]

    @property
    def picture_hw(self) -> tuple[int, int]:
        """Height and width of the picture in pixels, -1 where they vary."""
        side = self.image_size or -1
        return side, side

    @property
    def has_borders(self) -> bool:
        """Whether pictures are fitted into a square with grey borders.

        Then a network's boxes are in pixels of what it sees, else parts of the picture's width and height.
        """
        return self.kind in ("letterbox", "rect")

    def fitting(self, image_size_hw: tuple[int, int]) -> Letterbox:
        """How an image of that height and width in pixels is fitted into what the network sees; it has borders."""
        side, *stride = self.sides
        return letterbox(image_size_hw=image_size_hw, input_size=side, stride=stride[0] if stride else None)

    def seen_hw(self, image_size_hw: tuple[int, int]) -> tuple[int, int]:
        """Height and width in pixels of what the network sees of an image of that height and width."""
        if self.has_borders:
            return self.fitting(image_size_hw).input_hw
        if self.kind == "resize":
            return resized_shape(image_size_hw=image_size_hw, shorter=self.sides[0], longest=self.sides[1])
        return self.picture_hw

    @property
    def images(self) -> TensorSpec:
        """The picture that comes out: height, width, RGB; 0 to 255.

        What torchvision's detectors take is not rounded to whole grey levels: torchvision resizes in FP32, and in
        two-stage networks half a grey level can decide which proposals there are.
        """
        return TensorSpec("images", "FP32" if self.kind in _NOT_ROUNDED else "UINT8", (*self.picture_hw, 3))

    @property
    def max_batch_size(self) -> int:
        """Images in the largest batch, so chosen that memory stays the same.

        `contract.MAX_BATCH_SIZE` up to 640 pixels, fewer above; one where pictures vary in size: they make no batch.
        """
        side = self.image_size
        return max(1, min(MAX_BATCH_SIZE, MAX_BATCH_SIZE * DEFAULT_IMAGE_SIZE**2 // side**2)) if side else 1

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the model."""
        return (ENCODED,)

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """Outputs of the model, in the order in which its DALI pipeline returns them."""
        rectangle = (RECTANGLE,) if self.kind == "rect" else ()
        return (self.images, ORIGINAL_SHAPE, *rectangle)

    @property
    def network_inputs(self) -> tuple[TensorSpec, ...]:
        """Inputs of the network behind it."""
        return (*self.outputs, SCORE_THRESHOLD)

    def __str__(self) -> str:
        """For people: `640 x 640`, or what a resize does."""
        if self.kind == "resize":
            return f"shorter side {self.sides[0]}, longer at most {self.sides[1]}"
        square = f"{self.sides[0]} x {self.sides[0]}"
        if self.kind == "rect":
            return f"rectangles in {square}, multiples of {self.sides[1]}"
        return square if self.kind == "letterbox" else f"{square}, stretched"


def _check_stride(given: list[int], *, side: int, wanted: bool) -> None:
    """Accept the stride of a rect, and none where it is no rect."""
    if len(given) != wanted:
        raise InvalidOptionError(f"{1 + len(given)} sides were given; a rect has side and stride, others have the side")
    for stride in given:
        # An even one keeps the rectangle's place in the square whole.
        if stride < 2 or stride % 2 or side % stride:
            raise InvalidOptionError(
                f"rectangles in multiples of {stride} pixels are not possible in a square of {side}: the stride must "
                "be even and divide the side, such as 32"
            )
