"""Which head a raw output has, told by its shape."""

from __future__ import annotations

from sightline.errors import InvalidOptionError, UnknownHeadError

from ._head import Head
from .anchors_first import ANCHORS_FIRST
from .anchors_last import ANCHORS_LAST
from .end_to_end import END_TO_END

HEADS: dict[str, Head] = {head.name: head for head in (ANCHORS_LAST, ANCHORS_FIRST, END_TO_END)}
"""Every known layout, by name."""


def recognise(shape: tuple[int, ...], *, class_count: int | None, wanted: str | None = None) -> Head:
    """The one head that fits an output.

    Args:
        shape: the output's shape, batch axis included.
        class_count: number of classes where it is known from elsewhere.
        wanted: name of the only head to consider; None considers all.

    Raises:
        InvalidOptionError: `wanted` is no head's name.
        UnknownHeadError: none fits, or several do.
    """
    if wanted is not None and wanted not in HEADS:
        raise InvalidOptionError(f"head {wanted!r} is not known; choose one of {', '.join(HEADS)}")
    fitting = [head for head in HEADS.values() if wanted in (None, head.name) and _fits(head, shape, class_count)]
    if len(fitting) == 1:
        return fitting[0]
    came = f"the output has shape {list(shape)}"
    if class_count is not None:
        came += f" with {class_count} class{'es' * (class_count != 1)}"
    if fitting:
        names = " and ".join(head.name for head in fitting)
        raise UnknownHeadError(f"{came}, which fits {names}; say which with --head")
    if counts := _counts(shape, wanted):
        raise UnknownHeadError(f"{came}; that shape has {counts}. Give as many names with --classes")
    raise UnknownHeadError(f"{came}, which is no known layout{_of(wanted)}. Known are:\n{_known()}")


def _fits(head: Head, shape: tuple[int, ...], class_count: int | None) -> bool:
    if len(shape) != 3:
        return False
    count = head.class_count((shape[1], shape[2]))
    return count is not None and (not count or class_count in (None, count))


def _counts(shape: tuple[int, ...], wanted: str | None) -> str:
    """Class counts that the shape alone would allow, in words."""
    heads = [head for head in HEADS.values() if wanted in (None, head.name) and _fits(head, shape, None)]
    counts = [(head.name, head.class_count((shape[1], shape[2]))) for head in heads]
    return " or ".join(f"{count} classes as {name}" for name, count in counts if count)


def _of(wanted: str | None) -> str:
    return f" for --head {wanted}" if wanted else ""


def _known() -> str:
    return "\n".join(f"  {head.name}: {head.layout}" for head in HEADS.values())
