"""Files that are never left half-written, and names for them."""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from pathlib import Path, PurePath
from typing import Any

from sightline.detections import Source
from sightline.errors import OutputError

JsonObject = dict[str, Any]


def encode_json(value: JsonObject) -> bytes:
    """JSON on one line, in UTF-8.

    File names that are no UTF-8 hold lone surrogates in Python (PEP 383); they are written as `\\udcXX`, from which
    Python's `json` and `os.fsencode` make the same bytes again. A text with line separators of Unicode is written in
    ASCII, so that whatever splits the file into lines finds the same lines.
    """
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "))
    if len(text.splitlines()) == 1:
        try:
            return text.encode()
        except UnicodeEncodeError:
            pass
    return json.dumps(value, separators=(", ", ": ")).encode()


def reason_of(error: OSError) -> str:
    """Why the operating system refused, without the path."""
    return error.strerror or str(error)


def make_folder(folder: Path) -> None:
    """Make the folder and those above it.

    Raises:
        OutputError: it cannot be made, or something else is called so.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {reason_of(error)}") from error


class AppendFile:
    """A file that grows by whole pieces only, so that it holds whole lines even when the program is killed."""

    def __init__(self, path: Path) -> None:
        """Begin the file anew; makes the folders.

        Raises:
            OutputError: it cannot be made.
        """
        self.path = path
        self._size = 0
        make_folder(path.parent)
        try:
            # Without a buffer every piece is one write to the system; nothing is lost when the program ends.
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {reason_of(error)}") from error

    def append(self, piece: bytes) -> None:
        """Add a piece.

        Raises:
            OutputError: it could not be written; the file is as before.
        """
        rest = memoryview(piece)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            with contextlib.suppress(OSError):  # a device or a pipe has nothing to take back
                self._file.seek(self._size)
                self._file.truncate()
            raise OutputError(f"cannot write {self.path}: {reason_of(error)}") from error
        self._size += len(piece)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def close_as(self, path: Path) -> None:
        """Close the file and give it another name, replacing what is called so.

        Raises:
            OutputError: it cannot be renamed.
        """
        self._file.close()
        try:
            self.path.replace(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {reason_of(error)}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, replacing an older one, so that there is never half of it; makes the folders.

    Raises:
        OutputError: it cannot be written; an older file is as before.
    """
    part = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        try:
            part.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(data)
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):  # most likely it could not be made at all
            part.unlink()
        raise OutputError(f"cannot write {path}: {reason_of(error)}") from error


class OutputNames:
    """A path for every picture's outputs, relative and without ending, no two pictures sharing one.

    The folders below `base` are mirrored; a picture elsewhere keeps its whole path. Where `x.jpg` and `x.png` lie side
    by side, the second is called `x_png`, and `x_png_2`, `x_png_3` … where that is taken, too.
    """

    def __init__(self, base: Path) -> None:
        """Mirror the folders below `base`."""
        self._base = os.path.abspath(base)  # noqa: PTH100 (resolving would follow links)
        # Numbers instead of names: millions of pictures must fit. An accidental equality only costs a suffix.
        self._owners: dict[int, int] = {}

    def claim(self, source: Source) -> PurePath:
        """The path for one picture; the same again for the same picture."""
        place = self._place(source)
        stem = place.with_suffix("") if place.suffix else place
        beside = place.with_name(place.name.replace(".", "_"))
        number = 1
        name = stem
        while self._owners.setdefault(hash(str(name).casefold()), hash(str(source))) != hash(str(source)):
            name = beside if number == 1 else beside.with_name(f"{beside.name}_{number}")
            number += 1
        return name

    def _place(self, source: Source) -> PurePath:
        path = PurePath(os.path.abspath(source))  # noqa: PTH100
        if path.is_relative_to(self._base):
            return path.relative_to(self._base)
        return path.relative_to(path.anchor)
