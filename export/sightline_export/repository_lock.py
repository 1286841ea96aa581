"""One writer of a model repository at a time."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_POLL_SECONDS = 0.05
_logger = logging.getLogger(__name__)


@contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Wait until no other export writes into the repository, and keep the others waiting.

    The lock is the system's, on the folder itself: it leaves no file behind and ends with its process. Windows has no
    such lock, so there exports must not write into one repository at the same time. Nor have some network file systems,
    which is a warning of this module's logger.

    Args:
        repository: existing folder.

    Raises:
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        yield
        return
    folder = os.open(repository, os.O_RDONLY)
    try:
        _lock(folder, repository)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, repository: Path) -> None:
    try:
        while not _try_lock(folder):
            time.sleep(_POLL_SECONDS)
    except OSError as error:
        _logger.warning(
            "%s cannot be locked, so nothing else may write into it during an export: %s", repository, error
        )


def _try_lock(folder: int) -> bool:
    """Without waiting: a signal that came just before would not end the wait."""
    import fcntl

    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
