"""What the Makefile installs, told by a `uv` that only writes down how it is called."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PROGRAM = '#!/bin/sh\necho "$(basename "$0") $*" >>"{log}"\n'


class Checkout:
    """The checkout's Makefile with a virtual environment of its own, in which nothing is installed yet."""

    def __init__(self, folder: Path) -> None:
        self._log, self._venv, self._uv = folder / "log", folder / "venv", folder / "uv"
        (self._venv / "bin").mkdir(parents=True)
        (self._venv / ".python").touch()
        for program in (self._uv, self._venv / "bin" / "pytest"):
            program.write_text(PROGRAM.format(log=self._log))
            program.chmod(0o755)

    def make(self, target: str) -> list[str]:
        """The programs that it runs, in order."""
        self._log.write_text("")
        command = ["make", "--silent", target, f"VENV={self._venv}", f"UV={self._uv}"]
        # Without what the `make test` that runs this was told.
        environment = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MFLAGS"}}
        subprocess.run(command, cwd=CHECKOUT, env=environment, check=True, capture_output=True)
        return self._log.read_text().splitlines()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    if shutil.which("make") is None:
        pytest.skip("needs make")
    return Checkout(tmp_path)


def test_the_gpus_onnx_runtime_is_put_back_after_whatever_installs_the_other(checkout: Checkout) -> None:
    installed = checkout.make("install-gpu")
    tested = checkout.make("test-gpu")
    assert "[all] --group dev" in tested[0]
    assert tested[-1] == "pytest -m gpu"
    for calls in (installed, tested[:-1]):
        removed, added = calls[-2:]
        assert removed.startswith("uv pip uninstall")
        assert removed.endswith(" onnxruntime")
        # Its files went with the other's, of which uv knows nothing.
        assert "--reinstall-package onnxruntime-gpu" in added
        assert added.endswith(".[gpu]")
    assert checkout.make("test-gpu") == ["pytest -m gpu"], "nothing is installed twice"


def test_without_it_no_test_brings_it(checkout: Checkout) -> None:
    calls = checkout.make("test-gpu")
    assert calls[-1] == "pytest -m gpu"
    assert not any("gpu" in call for call in calls[:-1])
