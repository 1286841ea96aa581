"""Replaces small files of a repository together: all of them, or none, or the next program finishes it.

The new contents are written into a journal first, a file that Triton does not look at. A program that is killed after
that leaves the journal, and whoever opens the repository next writes the same files again; one that is killed before
leaves what stood there.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sightline_export.repository_lock import locked

from .manifest import CONFIG_FILE, JOURNAL_FILE, MANIFEST_FILE, PLAN_FILE

TEMPORARY_PREFIX = ".sightline-"
_FOLDER_MODE, _FILE_MODE = 0o755, 0o644


@contextmanager
def opened(repository: Path) -> Iterator[None]:
    """Keep other writers waiting; what one that was killed left behind is finished or removed first.

    Args:
        repository: made if it is missing.

    Raises:
        OSError: it cannot be written.
    """
    repository.mkdir(parents=True, exist_ok=True)
    with locked(repository):
        _finish(repository)
        _clean(repository)
        yield


def replace_files(repository: Path, files: Mapping[str, bytes]) -> None:
    """Give the files of an opened repository these contents, by paths relative to it, in this order.

    Raises:
        OSError: they cannot be written; if that was not while the journal was, the next `opened` finishes it.
    """
    changed = {name: content for name, content in files.items() if not _holds(repository / name, content)}
    if not changed:
        return
    journal = {name: base64.b64encode(content).decode() for name, content in changed.items()}
    write_atomically(repository / JOURNAL_FILE, json.dumps(journal).encode())
    _finish(repository)


def write_atomically(path: Path, content: bytes) -> None:
    """A file is what it was or what it is to be, also when the machine stops."""
    temporary = path.with_name(f"{TEMPORARY_PREFIX}new-{path.name.lstrip('.')}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_FILE_MODE)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """A folder that every user can read, as Triton in a container is another one."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_FOLDER_MODE)


def _holds(path: Path, content: bytes) -> bool:
    return path.is_file() and path.read_bytes() == content


def _finish(repository: Path) -> None:
    journal = repository / JOURNAL_FILE
    if not journal.exists():
        return
    for name, encoded in json.loads(journal.read_text()).items():
        path = repository / name
        for folder in reversed(path.relative_to(repository).parents[:-1]):
            make_folder(repository / folder)
        write_atomically(path, base64.b64decode(encoded))
    journal.unlink()


def _clean(repository: Path) -> None:
    """Remove what only a killed program leaves: temporary files, and models that never got their configuration."""
    for pattern in ("", "*/", "*/*/"):
        for left in repository.glob(f"{pattern}{TEMPORARY_PREFIX}*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    for model in repository.iterdir():
        if model.is_dir() and not model.name.startswith(".") and not (model / CONFIG_FILE).exists():
            _remove_unfinished(model)


def _remove_unfinished(model: Path) -> None:
    """A model without configuration is removed if it holds nothing but folders and what a build writes there."""
    files = [path for path in model.rglob("*") if path.is_file()]
    if all(path.name in (MANIFEST_FILE, PLAN_FILE) for path in files):
        shutil.rmtree(model)
