"""What `nvidia-smi` prints, as it documents it, and what is made of it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from sightline_bench.gpu import smi

MIB = 2**20
PRINTED = f"""\
#!{sys.executable} -IS
import sys, time
while any(word.startswith("--loop-ms=") for word in sys.argv):
    print("97, 41, 8123, 412.55, 1755")
    print("[N/A], [N/A], 9000, [N/A], [N/A]")
    print("Unable to determine the device handle for GPU0000:01:00.0: Unknown Error")
    time.sleep(0.02)
print("NVIDIA H100 PCIe, 580.65.06, 81559 MiB, 9.0, Disabled, 350.00 W")
"""
"""Flushes nothing, so that a pipe would hold its lines back."""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of that name, which prints what is documented."""
    file = tmp_path / smi.PROGRAM
    file.write_text(PRINTED)
    file.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("97, 41, 8123, 412.55, 1755", smi.Sample(5.0, 97.0, 41.0, 8123 * MIB, 412.55, 1755.0)),
        ("0, 0, 0, 41.20, 345\n", smi.Sample(5.0, 0.0, 0.0, 0, 41.2, 345.0)),
        ("12, [N/A], 100, [Not Supported], [N/A]", smi.Sample(5.0, 12.0, None, 100 * MIB, None, None)),
        ("[N/A], [N/A], [N/A], [N/A], [N/A]", None),
        ("No devices were found", None),
        ("", None),
    ],
)
def test_a_line(line: str, expected: smi.Sample | None) -> None:
    assert smi.parse(line, 5.0) == expected


def test_a_summary() -> None:
    samples = [smi.parse(line, 0.0) for line in ("100, 10, 50, 300, 1000", "50, 20, 70, [N/A], 2000")]
    use = smi.summarise([sample for sample in samples if sample])
    assert use == smi.Use(
        samples=2, busy_percent=75.0, memory_percent=15.0, peak_bytes=70 * MIB, watts=300.0, sm_mhz=1500.0
    )
    assert smi.summarise([]).busy_percent is None


@pytest.mark.usefixtures("program")
def test_watching() -> None:
    assert smi.describe()["name"] == "NVIDIA H100 PCIe"
    begin = time.monotonic()
    with smi.Watch() as watch:
        assert not watch.problem
        assert watch.used_bytes() in (8123 * MIB, 9000 * MIB)
        end = time.monotonic()
        seen = watch.between(begin, end)
    assert smi.summarise(seen).busy_percent == 97
    assert not watch.between(begin - 2, begin - 1)
    assert not watch.between(end + 2, end + 3)


def test_without_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with smi.Watch() as watch:
        assert "no nvidia-smi on the PATH" in watch.problem
        assert watch.used_bytes() is None
        assert not watch.between(0.0, time.monotonic())
    assert smi.describe() == {}


@pytest.mark.parametrize(("visible", "expected"), [(None, "0"), ("", "0"), ("3,1", "3"), ("GPU-8a1b", "GPU-8a1b")])
def test_the_gpu_that_cuda_shows_first(monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: str) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert smi.gpu_name() == expected
