"""Replaces several folders of one parent together: all of them, or none."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

_FOLDER_MODE = 0o755
_FILE_MODE = 0o644
_logger = logging.getLogger(__name__)


class FolderTransaction:
    """Folders are written beside their places and moved there at the end.

    As a context manager: write each folder under `new(name)`. Leaving the block moves all of them into `parent`, in
    the order in which they were asked for; leaving it by an exception changes nothing. When a move fails, those
    before it are undone. The moves copy nothing, but between the first and the last of them a reader sees folders of
    both generations, and a process killed there leaves the previous ones in a hidden folder of `parent`. So does a
    clean-up that fails, such as on files of another user; that is a warning of this module's logger, as it undoes
    nothing.

    Args:
        parent: existing folder, on the file system where the folders will stand.

    Raises:
        OSError: `parent` cannot be written.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._staging = parent / f".sightline-{os.getpid()}-{os.urandom(4).hex()}"
        self._names: list[str] = []

    def __enter__(self) -> FolderTransaction:
        self._staging.mkdir()
        for place in (self._fresh, self._previous):
            place.mkdir()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit()
        finally:
            self._clean_up()

    def new(self, name: str) -> Path:
        """An empty folder that will stand at `parent / name`."""
        folder = self._fresh / name
        folder.mkdir()
        self._names.append(name)
        return folder

    @property
    def _fresh(self) -> Path:
        return self._staging / "new"

    @property
    def _previous(self) -> Path:
        return self._staging / "previous"

    def _clean_up(self) -> None:
        try:
            shutil.rmtree(self._staging)
        except OSError as error:
            _logger.warning("%s is left over and can be deleted by hand: %s", self._staging, error)

    def _commit(self) -> None:
        make_readable(self._fresh)
        moved: list[tuple[Path, Path]] = []
        try:
            for name in self._names:
                target = self._parent / name
                if target.exists():
                    _move(target, self._previous / name, moved)
                _move(self._fresh / name, target, moved)
        except BaseException:
            for source, target in reversed(moved):
                target.rename(source)
            raise


def _move(source: Path, target: Path, moved: list[tuple[Path, Path]]) -> None:
    source.rename(target)
    moved.append((source, target))


def make_readable(folder: Path) -> None:
    """Let every user read a folder, as Triton in a container is another one."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(_FOLDER_MODE if path.is_dir() else _FILE_MODE)


def size_on_disk(folders: Sequence[Path]) -> int:
    """Bytes of all files in the folders."""
    return sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
