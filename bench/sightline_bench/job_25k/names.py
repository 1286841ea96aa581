"""A few pictures under many names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

_A_FOLDER = 1000


def link_names(images: Sequence[Path], count: int, folder: Path) -> dict[str, int]:
    """Make `folder` anew with so many names of the pictures, in turn, a thousand to a folder.

    They are hard links where the file system allows it, so that whoever reads them finds plain files, else symbolic
    ones.

    Args:
        images: at least one; their endings are kept.
        count: names.
        folder: where; what is there is removed.

    Returns:
        Each name's path as a string, with the number of its picture in `images`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    names = {}
    for number in range(count):
        picture = number % len(images)
        place = folder / f"{number // _A_FOLDER:03}"
        if number % _A_FOLDER == 0:
            place.mkdir(parents=True)
        path = place / f"{number:06}{images[picture].suffix}"
        _link(images[picture].resolve(), path)
        names[str(path)] = picture
    return names


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except OSError:  # another file system, or one without such links
        path.symlink_to(source)
