"""Finding Triton, and saying what is missing."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from sightline.errors import MissingDependencyError
from sightline_server.locate import check_platform, locate_triton


@pytest.mark.parametrize(
    ("system", "machine", "libc", "match"),
    [
        ("darwin", "arm64", ("", ""), "needs Linux on x86-64, this is darwin on arm64"),
        ("win32", "AMD64", ("", ""), "needs Linux on x86-64"),
        ("linux", "aarch64", ("glibc", "2.36"), "this is linux on aarch64"),
        ("linux", "x86_64", ("", ""), "not glibc"),
        ("linux", "x86_64", ("glibc", "2.31"), "glibc 2.35 or newer .* this is 2.31"),
    ],
)
def test_other_platforms_are_told_what_to_use(system: str, machine: str, libc: tuple[str, str], match: str) -> None:
    with pytest.raises(MissingDependencyError, match=match) as raised:
        check_platform(system=system, machine=machine, libc=libc)
    assert "the client works here" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("version", ["2.35", "2.36", "3.0"])
def test_new_enough(version: str) -> None:
    check_platform(system="linux", machine="x86_64", libc=("glibc", version))


@pytest.mark.skipif(importlib.util.find_spec("pytriton") is None, reason="needs nvidia-pytriton")
def test_the_files_are_there_and_pytriton_is_not_imported() -> None:
    files = locate_triton()
    assert files.binary.is_file()
    assert (files.python_backend / "libtriton_python.so").is_file()
    assert files.libraries.is_dir()
    assert files.libpython.is_file()
    assert "pytriton" not in sys.modules
