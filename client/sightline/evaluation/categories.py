"""Which class of a detector is which category of an annotations file, told by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sightline.errors import InvalidOptionError

from .annotations import Category

_SHOWN = 10


@dataclass(frozen=True)
class CategoryMatch:
    """The pairs, and what is left over on either side.

    Attributes:
        category_of_class: index of the category by class id; None where the annotations have no such category.
        loose: pairs (class name, category name) that differ in case, spaces, underscores or hyphens.
        classes_left_over: names of classes without a category.
        categories_left_over: indices of categories that the detector does not know.
    """

    category_of_class: tuple[int | None, ...]
    loose: tuple[tuple[str, str], ...]
    classes_left_over: tuple[str, ...]
    categories_left_over: tuple[int, ...]


def match_categories(class_names: Sequence[str], categories: Sequence[Category]) -> CategoryMatch:
    """Pair classes with categories: equal names first, then names that are equal but for case, spaces, `_` and `-`.

    Raises:
        InvalidOptionError: nothing fits, or it cannot be told which of several it is.
    """
    pairs: dict[int, int] = {}
    for key in (str.strip, _loosely):
        _pair(pairs, class_names, categories, key)
    if not pairs:
        raise InvalidOptionError(
            f"no class of the detector has the name of a category of the annotations; the detector knows "
            f"{_listed(class_names)}; the annotations have {_listed([each.name for each in categories])}"
        )
    paired = set(pairs.values())
    return CategoryMatch(
        category_of_class=tuple(pairs.get(class_id) for class_id in range(len(class_names))),
        loose=tuple(
            (class_names[class_id], categories[category].name)
            for class_id, category in sorted(pairs.items())
            if class_names[class_id].strip() != categories[category].name
        ),
        classes_left_over=tuple(name for class_id, name in enumerate(class_names) if class_id not in pairs),
        categories_left_over=tuple(index for index in range(len(categories)) if index not in paired),
    )


def _loosely(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name).casefold()


def _pair(
    pairs: dict[int, int], class_names: Sequence[str], categories: Sequence[Category], key: Callable[[str], str]
) -> None:
    """Add the pairs of classes and categories that are still free and have the same key."""
    paired = set(pairs.values())
    classes_of, categories_of = defaultdict[str, list[int]](list), defaultdict[str, list[int]](list)
    for class_id, name in enumerate(class_names):
        if class_id not in pairs:
            classes_of[key(name)].append(class_id)
    for index, category in enumerate(categories):
        if index not in paired:
            categories_of[key(category.name)].append(index)
    for shared in classes_of.keys() & categories_of.keys():
        ours, theirs = classes_of[shared], categories_of[shared]
        if len(ours) > 1 or len(theirs) > 1:
            mine = ", ".join(f"{class_names[i]!r} (class {i})" for i in ours)
            known = ", ".join(f"{categories[i].name!r} (category {categories[i].id})" for i in theirs)
            raise InvalidOptionError(f"it cannot be told which is which: {mine} of the detector and {known}")
        pairs[ours[0]] = theirs[0]


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more
