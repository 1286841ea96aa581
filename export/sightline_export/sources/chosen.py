"""What the options and a checkpoint say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.contract import DEFAULT_IMAGE_SIZE, check_image_size
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing, PreprocessingKind
from sightline_export.heads import Head
from sightline_export.options import ExportOptions, check_class_names

_LEAST_STRIDE = 32
"""Of rectangles, in pixels, whatever the network's own is: Ultralytics' `predict` has no smaller one either."""


class NoRectanglesError(InvalidOptionError):
    """Rectangles were asked for, and this network takes none.

    Args:
        reason: why.
        advice: what to do instead.
    """

    def __init__(self, reason: str, advice: str = "leave it out") -> None:
        super().__init__(f"--rect is not possible: {reason}; {advice}")
        self.reason = reason


def chosen_image_size(
    options: ExportOptions, trained_size: Any, *, stride: int, usual: int = DEFAULT_IMAGE_SIZE
) -> int:
    """The side of the square input in pixels: the one asked for, else the one trained for, else the usual one.

    Args:
        options: of which `image_size` matters here.
        trained_size: what the checkpoint says, which may be anything.
        stride: largest stride of the network, in pixels.
        usual: where nobody says.

    Raises:
        InvalidOptionError: it is no multiple of the stride.
    """
    image_size = options.image_size or _possible(trained_size) or usual
    if image_size % stride:
        raise InvalidOptionError(
            f"image size {image_size} is no multiple of this network's stride {stride}; "
            f"try {max(image_size // stride, 1) * stride}"
        )
    return image_size


def chosen_preprocessing(
    options: ExportOptions, kind: PreprocessingKind, *, image_size: int, stride: int, head: Head
) -> Preprocessing:
    """What the network's kind of preprocessing becomes: a rect where one was asked for, else as it is.

    Args:
        options: of which `rect` matters here; it is decided.
        kind: what the network was trained for.
        image_size: side of the square, in pixels.
        stride: largest stride of the network, in pixels.
        head: layout of its output.

    Raises:
        NoRectanglesError: a rect was asked for, and this network takes none.
    """
    check_takes_rect(options, kind, head)
    if not options.rect:
        return Preprocessing(kind, (image_size,))
    return Preprocessing.rect(image_size, stride=max(stride, _LEAST_STRIDE))


def check_takes_rect(options: ExportOptions, kind: PreprocessingKind, head: Head) -> None:
    """Refuse a rect where a network takes none; raises as `chosen_preprocessing`."""
    if options.rect and kind != "letterbox":
        raise NoRectanglesError(
            f"rectangles are for networks that see pictures with grey borders around them, and this one takes {kind}"
        )
    if options.rect and not head.any_size:
        raise NoRectanglesError(
            f"the places of a {head.name} head are those of the square",
            "export the network with its own decoding, or leave it out",
        )


def chosen_class_names(options: ExportOptions, own: Any, *, count: int) -> tuple[str, ...]:
    """One name per class id: those asked for, else the checkpoint's own; classes without any are numbered.

    Args:
        options: of which `classes` matters here.
        own: what the checkpoint says, by class id or in order.
        count: classes of the network.

    Raises:
        InvalidOptionError: too few or too many, or results could not be told apart by them.
    """
    own = own if isinstance(own, Mapping) else dict(enumerate(own or ()))
    names = options.classes or tuple(str(own.get(index, f"class_{index}")) for index in range(count))
    if len(names) != count:
        raise InvalidOptionError(f"{len(names)} class names were given; this model has {count} classes")
    return check_class_names(names)


def _possible(size: Any) -> int | None:
    """`size` if a letterbox of it can be made."""
    try:
        return check_image_size(size)
    except (InvalidOptionError, TypeError):
        return None
