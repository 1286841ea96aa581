"""A folder of things that take long to make, each kept as long as it would come out the same again."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import sightline
import sightline_export
from sightline.errors import MeasurementError
from sightline_export.repository_lock import locked

_STAMP = "made_of.txt"
_LAST_LINES = 8
QUIET_ULTRALYTICS = {"YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false", "YOLO_OFFLINE": "true"}
"""Variables that keep it from installing packages and from looking for the internet."""


class Workshop:
    """A working folder.

    Args:
        folder: made if it is missing; one run at a time uses it, with processes of its own.
        tell: is told what is made.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None]) -> None:
        self.folder = folder
        self.tell = tell
        folder.mkdir(parents=True, exist_ok=True)

    def once(self, name: str, *, of: Sequence[str], make: Callable[[Path], None]) -> Path:
        """The folder `name`, as `make` filled it now or, of the same things, earlier; other processes wait for it.

        Args:
            name: of the folder below the working folder.
            of: all that decides what comes out.
            make: fills the folder, which is empty; where it raises, the next run starts anew.
        """
        place = self.folder / name
        stamp = place / _STAMP
        made_of = "\n".join(of) + "\n"
        place.mkdir(parents=True, exist_ok=True)
        with locked(place):
            if not stamp.is_file() or stamp.read_text(encoding="utf-8") != made_of:
                self.tell(f"making {name}, once")
                _empty(place)
                make(place)
                stamp.write_text(made_of, encoding="utf-8")
        return place

    def scratch(self, name: str) -> Path:
        """A folder for what need not be kept, empty."""
        place = self.folder / name
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        return place


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def digest_of_file(file: Path) -> str:
    """What tells it from other files."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def digest_of_export() -> str:
    """What tells this exporter from one whose code was changed since."""
    package = Path(sightline.__file__).parent
    sources = [*Path(sightline_export.__file__).parent.rglob("*.py"), *package.glob("*.py")]
    total = hashlib.sha256()
    for file in sorted(sources):
        total.update(file.name.encode() + file.read_bytes())
    return total.hexdigest()


def versions_of(*packages: str) -> str:
    """As `torch 2.13.0, ultralytics 8.4.190`."""
    return ", ".join(f"{package} {version(package)}" for package in packages)


def run_sightline(*arguments: object) -> str:
    """What `sightline ARGUMENTS` printed.

    Raises:
        MeasurementError: it failed.
    """
    return run_command([str(Path(sys.executable).with_name("sightline")), *map(str, arguments)])


def run_command(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What it printed on standard output.

    Raises:
        MeasurementError: it failed; the message has the end of what it printed.
    """
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        errors="replace",
        env=environment,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise MeasurementError(f"`{' '.join(command)}` ended with {done.returncode}:\n{last}")
    return done.stdout
