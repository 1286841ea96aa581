"""Ground truth from a COCO annotations file, with an error for everything that such a file can get wrong."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from sightline.errors import InvalidOptionError
from sightline.writers.files import reason_of

Id: TypeAlias = int | str
"""As the file has it; 7 and "7" are the same one."""
_LISTS = ("images", "categories", "annotations")


@dataclass(frozen=True)
class TrueImage:
    """An image of the file; its height and width in pixels where the file tells them."""

    id: Id
    file_name: str
    size_hw: tuple[int, int] | None


@dataclass(frozen=True)
class Category:
    """A kind of object."""

    id: Id
    name: str


@dataclass(frozen=True)
class TrueObject:
    """One annotated object, or a region with many of them.

    Attributes:
        image: index into `GroundTruth.images`.
        category: index into `GroundTruth.categories`.
        box_xywh: left, top, width, height in pixels.
        area: in square pixels, by which it counts as small, medium or large.
        crowd: whether it is a region with many objects.
    """

    image: int
    category: int
    box_xywh: tuple[float, float, float, float]
    area: float
    crowd: bool


@dataclass(frozen=True)
class GroundTruth:
    """What ought to be found, in the file's order."""

    images: tuple[TrueImage, ...]
    categories: tuple[Category, ...]
    objects: tuple[TrueObject, ...]

    def only(self, images: set[int]) -> GroundTruth:
        """The same without the other images; `images` are indices into `images`, which are numbered anew."""
        kept = sorted(images)
        place = {old: new for new, old in enumerate(kept)}
        objects = tuple(replace(each, image=place[each.image]) for each in self.objects if each.image in place)
        return replace(self, images=tuple(self.images[index] for index in kept), objects=objects)

    def objects_by_category(self) -> Counter[int]:
        """Number of objects, crowd regions not counted, by index of the category."""
        return Counter(each.category for each in self.objects if not each.crowd)


def read_annotations(path: Path) -> GroundTruth:
    """Read a COCO annotations file.

    Args:
        path: JSON with `images` (`id`, `file_name`; `height`, `width`), `categories` (`id`, `name`) and `annotations`
            (`image_id`, `category_id`, `bbox`; `area`, `iscrowd`). Ids are whole numbers or text. A missing `area` is
            the box's, a missing `iscrowd` 0.

    Raises:
        InvalidOptionError: it cannot be read, or is no such file; names the entry that is wrong.
    """
    try:
        content: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidOptionError(f"cannot read the annotations {path}: {reason_of(error)}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidOptionError(f"the annotations {path} are not JSON: {error}") from error
    try:
        return _ground_truth(content)
    except _WrongEntryError as error:
        raise InvalidOptionError(f"{path} is no COCO annotations file: {error}") from error


class _WrongEntryError(Exception):
    pass


def _ground_truth(content: Any) -> GroundTruth:
    if not isinstance(content, dict):
        raise _WrongEntryError(f"it holds {_kind(content)}, not an object with the lists {', '.join(_LISTS)}")
    images = tuple(
        TrueImage(entry.id("id"), entry.text("file_name"), entry.size_hw()) for entry in _entries(content, "images")
    )
    categories = tuple(
        Category(entry.id("id"), entry.text("name").strip()) for entry in _entries(content, "categories")
    )
    for what, values in (("images", [image.id for image in images]), ("categories", [each.id for each in categories])):
        if twice := [key for key, count in Counter(map(str, values)).items() if count > 1]:
            raise _WrongEntryError(f"`{what}` has id {twice[0]} more than once")
    image_of = {str(image.id): index for index, image in enumerate(images)}
    category_of = {str(category.id): index for index, category in enumerate(categories)}
    objects = tuple(_object(entry, image_of, category_of) for entry in _entries(content, "annotations"))
    return GroundTruth(images, categories, objects)


def _object(entry: _Entry, image_of: dict[str, int], category_of: dict[str, int]) -> TrueObject:
    box = entry.box()
    return TrueObject(
        image=entry.one_of("image_id", image_of, "images"),
        category=entry.one_of("category_id", category_of, "categories"),
        box_xywh=box,
        area=entry.number("area", default=box[2] * box[3]),
        crowd=bool(entry.number("iscrowd", default=0)),
    )


def _entries(content: dict[str, Any], name: str) -> Iterator[_Entry]:
    values = content.get(name)
    if not isinstance(values, list):
        came = _kind(values) if name in content else "missing"
        raise _WrongEntryError(f"`{name}` is {came}, where a list is needed")
    for position, value in enumerate(values):
        if not isinstance(value, dict):
            raise _WrongEntryError(f"`{name}[{position}]` is {_kind(value)}, where an object is needed")
        yield _Entry(value, f"{name}[{position}]")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


class _Entry:
    """One object of one of the lists; whatever is wrong with it is told with its place."""

    def __init__(self, values: dict[str, Any], where: str) -> None:
        self._values = values
        self._where = where

    def text(self, name: str) -> str:
        value = self._values.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self._wrong(name, "text")
        return value

    def id(self, name: str) -> Id:
        value = self._values.get(name)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise self._wrong(name, "a whole number or text")
        return value

    def one_of(self, name: str, known: dict[str, int], where: str) -> int:
        key = self.id(name)
        if str(key) not in known:
            raise _WrongEntryError(f"`{self._where}.{name}` is {key!r}, which is no id in `{where}`")
        return known[str(key)]

    def number(self, name: str, *, default: float) -> float:
        value = _number(self._values.get(name, default))
        if value is None or value < 0:
            raise self._wrong(name, "a number of at least 0")
        return value

    def box(self) -> tuple[float, float, float, float]:
        values = self._values.get("bbox")
        match [_number(each) for each in values] if isinstance(values, list) else None:
            case [float(left), float(top), float(width), float(height)] if width >= 0 and height >= 0:
                return left, top, width, height
        raise self._wrong("bbox", "[left, top, width, height] in pixels, none negative in size")

    def size_hw(self) -> tuple[int, int] | None:
        height, width = _number(self._values.get("height")), _number(self._values.get("width"))
        if height is None or width is None or min(height, width) < 1:
            return None
        return int(height), int(width)

    def _wrong(self, name: str, wanted: str) -> _WrongEntryError:
        came = json.dumps(self._values[name])[:60] if name in self._values else "missing"
        return _WrongEntryError(f"`{self._where}.{name}` is {came}, where {wanted} is needed")


def _number(value: Any) -> float | None:
    """The value as a finite number; None where it is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None
