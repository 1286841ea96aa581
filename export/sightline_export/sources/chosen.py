"""What the options and a checkpoint say together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.contract import DEFAULT_IMAGE_SIZE, check_image_size
from sightline.errors import InvalidOptionError
from sightline_export.options import ExportOptions, check_class_names


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
