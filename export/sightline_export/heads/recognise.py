"""Which family a raw output belongs to, told by its shape."""

from __future__ import annotations

from sightline.errors import UnknownHeadError
from sightline_export.families import FAMILIES, ONNX_SUFFIX, Family, family

from . import HEADS
from .grid import GRID, input_size

Shape = tuple[int, ...]


def recognise(shape: Shape, *, image_size: int, class_count: int | None = None, wanted: str | None = None) -> Family:
    """The one family that fits an output.

    Layouts often share a shape. Then the number of candidates decides where it is that of a family's grids for this
    input: 25,200 for 640 pixels are three in each cell, as anchors make them, 8,400 are one. Families that differ in
    name only count as one.

    Args:
        shape: the output's shape, batch axis included.
        image_size: side of the square input, in pixels.
        class_count: number of classes where it is known from elsewhere.
        wanted: name of the only family to consider; None considers all.

    Raises:
        InvalidOptionError: `wanted` is no family's name.
        UnknownHeadError: none fits, or several do.
    """
    told = [each for each in FAMILIES.values() if _told_by_shape(each, shape)]
    considered = [family(wanted)] if wanted else told
    fitting = [each for each in considered if _fits(each, shape, image_size, class_count)]
    fitting = [each for each in fitting if _has_its_number(each, shape, image_size)] or fitting
    if len({(each.head, each.pixels, each.preprocessing) for each in fitting}) == 1:
        return fitting[0]
    came = f"the output has shape {list(shape)} for {image_size} pixels"
    if class_count is not None:
        came += f", with {class_count} class{'es' * (class_count != 1)}"
    if fitting:
        raise UnknownHeadError(
            f"{came}, which fits {_listed(fitting)}; say which with --family (described by `sightline export --help`)"
        )
    if counts := _counts(considered, shape, image_size):
        raise UnknownHeadError(f"{came}; that shape has {counts}. Give as many names with --classes")
    raise UnknownHeadError(f"{came}, which is no known layout{_of(wanted)}. Known are:\n{_known()}")


def _told_by_shape(each: Family, shape: Shape) -> bool:
    usual = each.chosen is None or len(shape) != 3 or each.chosen[0] <= _candidates(each, shape) <= each.chosen[1]
    return each.by_shape and ONNX_SUFFIX in each.suffixes and usual


def _fits(each: Family, shape: Shape, image_size: int, class_count: int | None) -> bool:
    count = _class_count(each, shape, image_size)
    return count is not None and (not count or class_count in (None, count))


def _class_count(each: Family, shape: Shape, image_size: int) -> int | None:
    """As `Head.class_count`, for a shape with batch axis."""
    if len(shape) != 3:
        return None
    if each.head == GRID.name and input_size(shape[1]) != image_size:
        return None
    return HEADS[each.head].class_count((shape[1], shape[2]))


def _has_its_number(each: Family, shape: Shape, image_size: int) -> bool:
    return any(grid.candidates(image_size) == _candidates(each, shape) for grid in each.grids)


def _candidates(each: Family, shape: Shape) -> int:
    return shape[1 + HEADS[each.head].candidate_axis]


def _counts(considered: list[Family], shape: Shape, image_size: int) -> str:
    """Class counts that the shape alone would allow, in words."""
    fitting = [each for each in considered if _fits(each, shape, image_size, None)]
    names: dict[int, list[Family]] = {}
    for each in fitting:
        if count := _class_count(each, shape, image_size):
            names.setdefault(count, []).append(each)
    return " or ".join(f"{count} classes as {_listed(families)}" for count, families in names.items())


def _listed(families: list[Family]) -> str:
    names = [each.name for each in families]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _of(wanted: str | None) -> str:
    return f" for --family {wanted}" if wanted else ""


def _known() -> str:
    known = [each for each in FAMILIES.values() if ONNX_SUFFIX in each.suffixes]
    return "\n".join(f"  {each.name}: {HEADS[each.head].layout}" for each in known)
