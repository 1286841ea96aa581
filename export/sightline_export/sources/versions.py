"""Which versions of Ultralytics the export was tested with, and what is said where another one breaks it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from sightline.errors import ExportError, SightlineError, UnsupportedVersionError

PACKAGE = "ultralytics"
OLDEST = "8.4.190"
BELOW = "8.5"
TESTED = f"{PACKAGE}>={OLDEST},<{BELOW}"
"""As pip reads it; the export extra asks for the same."""


def installed_version() -> str | None:
    """The version of Ultralytics that is installed here, or None."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError:
        return None


def is_tested(installed: str) -> bool:
    """Whether a version lies in the tested range; pre-releases of its end do not."""
    return _numbers(OLDEST) <= _numbers(installed) < _numbers(BELOW)


def explained(otherwise: SightlineError) -> SightlineError:
    """The error to raise for a failure inside Ultralytics: one that blames its version, or else `otherwise`."""
    installed = installed_version()
    if installed is None or is_tested(installed):
        return otherwise
    return UnsupportedVersionError(
        f"{otherwise}. This is {PACKAGE} {installed}; the export was tested with {TESTED}, so the version may be at "
        f'fault: pip install "{TESTED}" and try again'
    )


@contextmanager
def explaining(what: str) -> Iterator[None]:
    """Whatever Ultralytics raises inside becomes an error that says what was tried, and with which version.

    Args:
        what: is done inside, such as "trace yolov8n.pt".

    Raises:
        UnsupportedVersionError: its version is outside the tested range.
        ExportError: it is inside.
    """
    try:
        yield
    except SightlineError:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {first_line(error)}"
        failed = ExportError(
            f"{PACKAGE} {installed_version()} could not {what} ({reason}); it may hold layers of a changed "
            "Ultralytics. Export it to ONNX where it was trained and give that file"
        )
        raise explained(failed) from error


def first_line(error: Exception) -> str:
    """What an error says, short."""
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))
