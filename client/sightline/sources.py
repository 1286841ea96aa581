"""Which images a command line means: files, folders, globs, and `-` for paths on stdin; found one by one as needed.

A folder stands for the images in it and in all folders below, known by their endings. A glob (expanded here when the
shell has not) stands for files: all of them if it ends in a plain ending (`*.dat`), else the images among them. A
file that is named itself may have any ending.
"""

from __future__ import annotations

import glob
import os
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import BinaryIO

from sightline._find import Finder, Report, is_folder
from sightline.detections import Result, Source
from sightline.errors import UnreadableImageError

IMAGE_ENDINGS = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".bmp", ".tif", ".tiff"),
        # Not always decoded, but a picture that is left out deserves to be named among the errors.
        *(".gif", ".avif", ".heic", ".heif", ".jp2", ".pgm", ".ppm", ".pnm"),
    }
)
"""Endings, in lower case, by which pictures are found in folders."""

STDIN = "-"
_CHUNK_BYTES = 65536
_LONGEST_PATH_BYTES = 1 << 20


class Sources(Iterable[str]):
    """The paths that command-line arguments stand for; every iteration looks for them anew.

    An argument that leads to no image does not stop the others: it becomes a `Result` with an `UnreadableImageError` in
    `problems`, from where whoever iterates takes it (from another thread, too).
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        stdin: BinaryIO | None = None,
        null_separated: bool = False,
        exclude: Sequence[Path] = (),
    ) -> None:
        """Prepare, without looking at the disk.

        Args:
            arguments: files, folders, glob patterns (`**` stands for any folders), or `-`.
            stdin: where the paths for `-` come from, one a line; a path there is a file or a folder, never a pattern.
            null_separated: paths on stdin end with a NUL byte instead of a line end, as `find -print0` writes them.
            exclude: folders that are never entered, such as the one that annotated pictures are written to.
        """
        self.problems: deque[Result] = deque()
        self._arguments = tuple(arguments)
        self._stdin = stdin
        self._null_separated = null_separated
        self._exclude = frozenset(os.path.realpath(folder) for folder in exclude)

    def __iter__(self) -> Iterator[str]:
        return self._expand(self._add_problem)

    def count(self, *, stop: threading.Event | None = None) -> int | None:
        """How many images and problems there are; None with stdin among them, or when `stop` was set before the end."""
        if STDIN in self._arguments:
            return None
        number, problems = 0, Counter[str]()
        for _ in self._expand(lambda named, _: problems.update([named])):
            if stop is not None and stop.is_set():
                return None
            number += 1
        return number + problems.total()

    def base(self) -> Path:
        """The deepest folder that holds all that was named; the working folder with stdin among it."""
        if STDIN in self._arguments or not self._arguments:
            return Path.cwd()
        try:
            return Path(os.path.commonpath([_root(argument) for argument in self._arguments]))
        except ValueError:  # two drives of Windows have nothing in common
            return Path.cwd()

    def _add_problem(self, named: str, reason: str) -> None:
        self.problems.append(Result(named, error=UnreadableImageError(reason)))

    def _expand(self, report: Report) -> Iterator[str]:
        for argument in self._arguments:
            if argument == STDIN:
                yield from self._from_stdin(report)
            elif is_folder(argument):
                yield from self._from_folder(argument, report)
            elif os.path.lexists(argument):
                yield argument
            elif glob.has_magic(argument):
                yield from self._from_pattern(argument, report)
            else:
                report(argument, "no such file or folder")

    def _from_folder(self, folder: str, report: Report) -> Iterator[str]:
        finder = Finder(report=report, exclude=self._exclude)
        path = None
        for path in filter(is_image_name, finder.below(folder)):
            yield path
        if path is None:
            report(folder, f"no image in this folder; looked for {' '.join(sorted(IMAGE_ENDINGS))}")

    def _from_pattern(self, pattern: str, report: Report) -> Iterator[str]:
        finder = Finder(report=report, exclude=self._exclude)
        ending = PurePath(pattern).suffix
        any_file = bool(ending) and not glob.has_magic(ending)
        path = None
        for path in finder.matching(pattern):
            if any_file or is_image_name(path):
                yield path
        if path is None:
            report(pattern, "no file matches this pattern, and none is called so")

    def _from_stdin(self, report: Report) -> Iterator[str]:
        if self._stdin is None:
            report(STDIN, "paths are to come from standard input, but there is none")
            return
        for entry in _entries(self._stdin, separator=b"\0" if self._null_separated else b"\n"):
            if len(entry) > _LONGEST_PATH_BYTES or b"\0" in entry:
                hint = "" if self._null_separated else "; use --null after `find -print0`"
                report(STDIN, f"standard input is not a list of paths, one a line{hint}")
                return
            path = os.fsdecode(entry if self._null_separated else entry.removesuffix(b"\r"))
            if is_folder(path):
                yield from self._from_folder(path, report)
            elif path:
                yield path


def is_image_name(path: str) -> bool:
    """Whether the ending is one of `IMAGE_ENDINGS`, in lower or upper case."""
    return PurePath(path).suffix.lower() in IMAGE_ENDINGS


def printable(name: Source) -> str:
    """A name as a terminal can take it: line ends, control characters and undecodable bytes as backslash escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in str(name))


def _root(argument: str) -> str:
    """The folder, as an absolute path, that everything the argument stands for lies in."""
    path = Path(argument)
    while glob.has_magic(str(path)) and not os.path.lexists(path):
        path = path.parent
        argument = str(path / "pattern")
    folder = argument if is_folder(argument) else os.path.dirname(argument)  # noqa: PTH120
    return os.path.abspath(folder)  # noqa: PTH100 (resolving would follow links)


def _entries(stream: BinaryIO, *, separator: bytes) -> Iterator[bytes]:
    """Pieces of a stream between separators, as soon as each has come; an overlong one is given in part."""
    rest = b""
    read = getattr(stream, "read1", stream.read)
    while chunk := read(_CHUNK_BYTES):
        *whole, rest = (rest + chunk).split(separator)
        yield from whole
        if len(rest) > _LONGEST_PATH_BYTES:
            break
    if rest:
        yield rest
