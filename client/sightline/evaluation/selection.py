"""Which of the given files are images of the annotations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath

from sightline.errors import InvalidOptionError
from sightline.file_names import FileNames

from .annotations import GroundTruth


@dataclass(frozen=True)
class Selection:
    """The files to evaluate, and what has no partner.

    Attributes:
        image_of_path: index into `truth.images` by path, in the order in which the files were given.
        truth: the annotations of those images alone.
        not_annotated: why the annotations do not tell about a file, by path.
        not_given: file names of annotated images that no file is.
    """

    image_of_path: dict[str, int]
    truth: GroundTruth
    not_annotated: Mapping[str, str]
    not_given: tuple[str, ...]


def select(paths: Iterable[str], truth: GroundTruth) -> Selection:
    """Find each file's image by its name, and by its folders where several images have that name.

    Raises:
        InvalidOptionError: two files are the same image, or none is any.
    """
    names = FileNames.of((image.file_name, index) for index, image in enumerate(truth.images))
    found: dict[str, int] = {}
    path_of: dict[int, str] = {}
    not_annotated: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        try:
            image = names.find(PurePath(path))
        except LookupError as error:
            not_annotated[path] = f"the annotations have {error}"
            continue
        if (other := path_of.setdefault(image, path)) != path:
            raise InvalidOptionError(f"{other} and {path} are both {truth.images[image].file_name} of the annotations")
        found[path] = image
    if not found:
        raise InvalidOptionError(_nothing_fits(list(not_annotated), truth))
    place = {image: index for index, image in enumerate(sorted(path_of))}
    return Selection(
        image_of_path={path: place[image] for path, image in found.items()},
        truth=truth.only(set(path_of)),
        not_annotated=not_annotated,
        not_given=tuple(image.file_name for index, image in enumerate(truth.images) if index not in path_of),
    )


def _nothing_fits(files: list[str], truth: GroundTruth) -> str:
    given = f"{len(files)}, such as {files[0]}" if files else "none"
    known = f"{len(truth.images)}, such as {truth.images[0].file_name}" if truth.images else "none"
    return f"no file is an image of the annotations; files: {given}; images of the annotations: {known}"
