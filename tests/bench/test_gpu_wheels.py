"""Packages for a machine without a network: which, in pieces, and together again."""

from __future__ import annotations

import os
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT

from sightline_bench.gpu import wheels

CONSTRAINTS = """\
numpy==2.2.6 ; python_full_version < '3.11'
numpy==2.5.5 ; python_full_version >= '3.12'
onnxruntime-gpu==1.31.1 ; python_full_version >= '3.11' and platform_machine == 'x86_64' and sys_platform == 'linux'
colorama==0.4.6 ; sys_platform == 'win32'
rich==15.0.0
"""


def a_wheel(folder: Path, name: str, size: int) -> Path:
    """A package with one module, which has `size` bytes besides."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", f"SIZE = {size}\n" + "#" * size)
        archive.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(
            f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return file


def test_versions_are_those_of_that_python() -> None:
    versions = wheels.pinned(CONSTRAINTS, "3.12")
    assert versions == {"numpy": "2.5.5", "onnxruntime-gpu": "1.31.1", "rich": "15.0.0"}
    assert wheels.pinned(CONSTRAINTS, "3.10") == {"numpy": "2.2.6", "rich": "15.0.0"}


def test_what_is_there_is_left_out() -> None:
    printed = "Package    Version\n---------- -------\nNumPy      2.5.2\nnvidia_cublas 13.1\nrich==14\n"
    have = wheels.names_of(printed)
    assert have == ["NumPy", "nvidia_cublas", "rich"]
    names = ["numpy", "nvidia-cublas", "onnxruntime-gpu", "other"]
    assert wheels.wanted(names, {"onnxruntime-gpu": "1.31.1"}, have) == ["onnxruntime-gpu==1.31.1", "other"]


def test_every_package_is_pinned() -> None:
    versions = wheels.pinned((CHECKOUT / "constraints.txt").read_text(), "3.12")
    unpinned = [name for name in wheels.PACKAGES if name not in versions]
    assert not unpinned


def test_pieces_and_back(tmp_path: Path) -> None:
    made = [a_wheel(tmp_path / "made", name, size) for name, size in (("large", 25_000), ("small", 300))]
    parts = wheels.cut(tmp_path / "made", tmp_path / "carried", 10_000)
    assert [part.name for part in parts] == ["part-00", "part-01", "part-02"]
    for part in parts:
        assert sum(file.stat().st_size for file in part.glob("*.whl.*")) <= 10_000
    (tmp_path / "joined").mkdir()
    joined = wheels.join(tmp_path / "carried", tmp_path / "joined")
    assert {file.name: file.read_bytes() for file in joined} == {file.name: file.read_bytes() for file in made}
    with pytest.raises(wheels.WheelsError, match="holds parts already"):
        wheels.cut(tmp_path / "made", tmp_path / "carried", 10_000)


def test_a_piece_that_is_missing_or_damaged(tmp_path: Path) -> None:
    a_wheel(tmp_path / "made", "large", 25_000)
    wheels.cut(tmp_path / "made", tmp_path / "carried", 10_000)
    (tmp_path / "joined").mkdir()
    piece = next((tmp_path / "carried").rglob("*.001"))
    content = piece.read_bytes()
    piece.write_bytes(b"x" + content[1:])
    with pytest.raises(wheels.WheelsError, match="came out damaged"):
        wheels.join(tmp_path / "carried", tmp_path / "joined")
    piece.unlink()
    with pytest.raises(wheels.WheelsError, match=r"lacks large-1\.0-py3-none-any\.whl\.001: bring every part"):
        wheels.join(tmp_path / "carried", tmp_path / "joined")
    with pytest.raises(wheels.WheelsError, match="holds no wheel"):
        wheels.join(tmp_path / "joined", tmp_path / "made")


def test_they_are_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    a_wheel(tmp_path / "made", "carried_package", 2_000)
    wheels.cut(tmp_path / "made", tmp_path / "carried", 1_000)
    site = wheels.install(tmp_path / "carried")
    assert (site / "carried_package.py").read_text().startswith("SIZE = 2000")
    (site / "mark").touch()
    assert wheels.install(tmp_path / "carried") == site
    assert (site / "mark").exists(), "nothing was installed again"


def test_what_a_wheel_has_beside_its_modules(tmp_path: Path) -> None:
    file = tmp_path / "odd-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("odd-1.0.data/platlib/odd/there.py", "")
        archive.writestr("odd-1.0.data/scripts/odd", "")
        program = zipfile.ZipInfo("odd/program")
        program.external_attr = 0o755 << 16
        archive.writestr(program, "#!/bin/sh\n")
        archive.writestr("odd/data", "")
    wheels.unpack(file, tmp_path / "site")
    found = {entry.name: entry for entry in (tmp_path / "site").rglob("*") if entry.is_file()}
    assert found.keys() == {"there.py", "program", "data"}
    assert os.access(found["program"], os.X_OK)
    assert not os.access(found["data"], os.X_OK)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("../elsewhere", "")
    with pytest.raises(wheels.WheelsError, match="outside"):
        wheels.unpack(file, tmp_path / "site")


def test_the_script(tmp_path: Path) -> None:
    script = CHECKOUT / "bench" / "gpu_wheels.sh"
    done = subprocess.run(
        [script, tmp_path / "new", "rich", "onnxruntime-gpu", "--list", "--with", "tensorrt-cu13"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rich, engine, tensorrt = done.stdout.split()
    assert rich.startswith("rich==")
    assert engine.startswith("onnxruntime-gpu==")
    assert tensorrt == "tensorrt-cu13"
    assert not (tmp_path / "new").exists()
