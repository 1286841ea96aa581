"""Finding files in folders and by patterns, lazily and always in the same order.

The files of a folder come before its folders, each sorted by name. Hidden names (they begin with a dot) are left out
unless a pattern begins with a dot as well. Folders behind symbolic links are entered, but never in a circle.
"""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

Report = Callable[[str, str], None]
"""Takes the path at fault and the reason."""


class Finder:
    """Looks for files on the disk; paths come out as the user began them: `./a` stays `./a`."""

    def __init__(self, *, report: Report, exclude: frozenset[str] = frozenset()) -> None:
        """Report goes what cannot be read; `exclude` holds real paths of folders that are never entered."""
        self._report = report
        self._exclude = exclude

    def below(self, folder: str) -> Iterator[str]:
        """Every file in the folder and in those below it."""
        return self._matches(folder, ["**", "*"])

    def matching(self, pattern: str) -> Iterator[str]:
        """Every file whose path matches; `**` stands for no folder, one, or several."""
        pure = PurePath(pattern)
        return self._matches(pure.anchor, pure.parts[1:] if pure.anchor else pure.parts)

    def _matches(self, folder: str, parts: Sequence[str]) -> Iterator[str]:
        head, rest = parts[0], parts[1:]
        if head == "**":
            for inner in self._folders_below(folder, above=()):
                yield from self._matches(inner, rest or ["*"])
        elif not rest:
            files, _ = self._list(folder) or ((), ())
            yield from (_join(folder, name) for name in _visible(files, head))
        elif glob.has_magic(head):
            _, folders = self._list(folder) or ((), ())
            for name in _visible(folders, head):
                yield from self._matches(_join(folder, name), rest)
        elif is_folder(_join(folder, head)):
            yield from self._matches(_join(folder, head), rest)

    def _folders_below(self, folder: str, *, above: tuple[tuple[int, int], ...]) -> Iterator[str]:
        """The folder and all below it; `above` names those that are being walked, by device and number."""
        listed = self._list(folder)
        if listed is None:
            return
        status = Path(folder or os.curdir).stat()
        identity = (status.st_dev, status.st_ino)
        if identity in above:
            return
        yield folder
        for name in _visible(listed[1], "*"):
            yield from self._folders_below(_join(folder, name), above=(*above, identity))

    def _list(self, folder: str) -> tuple[list[str], list[str]] | None:
        """Sorted names of files and of folders; None where the folder is excluded or unreadable."""
        if os.path.realpath(folder) in self._exclude:
            return None
        names: dict[str, list[str]] = {"file": [], "folder": [], "other": []}
        try:
            with os.scandir(folder or os.curdir) as entries:
                for entry in entries:
                    names[_kind(entry)].append(entry.name)
        except OSError as error:
            self._report(folder, f"cannot read this folder: {error.strerror}")
            return None
        return sorted(names["file"]), sorted(names["folder"])


def is_folder(path: str) -> bool:
    """Whether it is a folder; False, not an error, for a path that cannot be looked at."""
    return os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises for overlong names and locked folders)


def _kind(entry: os.DirEntry[str]) -> str:
    """A link that leads nowhere is a file: whoever opens it will say what is wrong with it."""
    try:
        return "folder" if entry.is_dir() else "file" if entry.is_file() or entry.is_symlink() else "other"
    except OSError:  # a link in a circle, or one into a locked folder
        return "file"


def _visible(names: Sequence[str], pattern: str) -> Iterator[str]:
    """Names that match; hidden ones only if the pattern itself begins with a dot."""
    hidden_too = pattern.startswith(".")
    return (name for name in names if (hidden_too or not name.startswith(".")) and fnmatch.fnmatch(name, pattern))


def _join(folder: str, name: str) -> str:
    return os.path.join(folder, name)  # noqa: PTH118 (a Path would drop the "./" that the user wrote)
