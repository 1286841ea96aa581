"""Finds what an annotations file says about an image by the path that the image has here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Generic, TypeVar

Entry = TypeVar("Entry")


@dataclass(frozen=True)
class FileNames(Generic[Entry]):
    """Entries by the file names that an annotations file has for them, which may begin with folders.

    Attributes:
        entries: for every bare file name, the entries called so, by their whole file name.
    """

    entries: Mapping[str, Mapping[str, Entry]]

    @classmethod
    def of(cls, named: Iterable[tuple[str, Entry]]) -> FileNames[Entry]:
        """From pairs of a file name and its entry."""
        entries: defaultdict[str, dict[str, Entry]] = defaultdict(dict)
        for file_name, entry in named:
            path = PurePath(file_name)
            entries[path.name][path.as_posix()] = entry
        return cls(entries)

    def find(self, path: PurePath) -> Entry:
        """The entry whose file name is the path's bare name, or its last folders and name.

        Raises:
            LookupError: there is none, or it cannot be told which of several it is; says so in a few words.
        """
        called_so = self.entries.get(path.name, {})
        if len(called_so) == 1:
            return next(iter(called_so.values()))
        fitting = [name for name in called_so if path.parts[-len(PurePath(name).parts) :] == PurePath(name).parts]
        if not fitting:
            raise LookupError(f"{'several images' if called_so else 'no image'} called {path.name}")
        return called_so[max(fitting, key=len)]
