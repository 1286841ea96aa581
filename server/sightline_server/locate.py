"""Finds the Triton that the nvidia-pytriton wheel carries, without importing that package."""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from sightline.errors import MissingDependencyError
from sightline_server.libpython import find_libpython

MIN_GLIBC = (2, 35)
_ELSEWHERE = "use Triton in Docker or on another machine instead; the client works here"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@dataclass(frozen=True, kw_only=True)
class TritonFiles:
    """What the embedded server is made of.

    Attributes:
        binary: the `tritonserver` program.
        python_backend: folder of the Python backend.
        stub: the program that runs models of this Python version.
        caches: folder of response caches.
        libraries: folder of the shared libraries that the wheel brings.
        libpython: this Python's shared library.
    """

    binary: Path
    python_backend: Path
    stub: Path
    caches: Path
    libraries: Path
    libpython: Path


def locate_triton() -> TritonFiles:
    """The files of the installed Triton.

    Raises:
        MissingDependencyError: the platform cannot run it, or a part is not installed; one line says what is needed.
    """
    check_platform(system=sys.platform, machine=platform.machine(), libc=platform.libc_ver())
    root = _wheel_root()
    triton = root / "pytriton" / "tritonserver"
    libpython = find_libpython()
    if libpython is None:
        raise MissingDependencyError(
            f"the embedded server needs libpython{_PYTHON}.so.1.0: install the package libpython{_PYTHON}, or use a "
            f"Python that has it (`uv python install {_PYTHON}`)"
        )
    files = TritonFiles(
        binary=triton / "bin" / "tritonserver",
        python_backend=triton / "backends" / "python",
        stub=triton / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub",
        caches=triton / "caches",
        libraries=root / "nvidia_pytriton.libs",
        libpython=libpython,
    )
    if not files.stub.is_file():
        raise MissingDependencyError(f"the embedded server has no part for Python {_PYTHON}; it knows 3.10 to 3.13")
    return files


def check_platform(*, system: str, machine: str, libc: tuple[str, str]) -> None:
    """Accept Linux on x86-64 with a new enough glibc.

    Args:
        system: as in `sys.platform`.
        machine: as in `platform.machine()`.
        libc: as in `platform.libc_ver()`.

    Raises:
        MissingDependencyError: it is something else.
    """
    if system != "linux" or machine.lower() not in ("x86_64", "amd64"):
        raise MissingDependencyError(
            f"the embedded server needs Linux on x86-64, this is {system} on {machine}: {_ELSEWHERE}"
        )
    name, version = libc
    needed = ".".join(map(str, MIN_GLIBC))
    if name != "glibc":
        raise MissingDependencyError(
            f"the embedded server needs glibc {needed} or newer, this is not glibc: {_ELSEWHERE}"
        )
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_GLIBC:
        raise MissingDependencyError(
            f"the embedded server needs glibc {needed} or newer (Debian 12, Ubuntu 22.04), this is {version}: "
            + _ELSEWHERE
        )


def _wheel_root() -> Path:
    """The folder that `pytriton` was installed into."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or spec.origin is None:
        raise MissingDependencyError(
            "the embedded server needs the package nvidia-pytriton: `make install` in a checkout"
        )
    return Path(spec.origin).resolve().parents[1]
