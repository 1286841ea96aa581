"""`sightline export` that is told to stop leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sightline_export.repository_lock import locked

COMMAND = Path(sys.executable).with_name("sightline")
TEMPORARY = "sightline-*"
"""How the names of our own temporary folders look; other packages may keep theirs."""


def start_export(source: Path, folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    (folder / "temporary").mkdir()
    return subprocess.Popen(
        [str(COMMAND), "export", str(source), "--repository", str(folder / "models"), *map(str, arguments)],
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_line(process: subprocess.Popen[str], begin: str) -> None:
    assert process.stdout is not None
    while not (line := process.stdout.readline()).startswith(begin):
        assert line, process.communicate()


def stop(process: subprocess.Popen[str], number: signal.Signals) -> None:
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == (143 if number == signal.SIGTERM else 1), errors
    assert errors.splitlines()[-1] == "Aborted!"
    assert "Traceback" not in errors


@pytest.mark.usefixtures("server")  # skips where no server can run
def test_stopped_while_the_candidate_is_served(tiny_onnx: Path, small_sample: Path, tmp_path: Path) -> None:
    with start_export(tiny_onnx, tmp_path, "--sample", small_sample) as process:
        wait_for_line(process, "serving tiny")
        while not list((tmp_path / "temporary").glob("sightline-gate-*/tiny")):
            assert process.poll() is None
            time.sleep(0.01)
        stop(process, signal.SIGTERM)
    assert list((tmp_path / "temporary").glob(TEMPORARY)) == []
    assert not (tmp_path / "models").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot lock a folder")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_it_waits_for_another_export(number: signal.Signals, tiny_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    with locked(tmp_path / "models"), start_export(tiny_onnx, tmp_path, "--no-gate") as process:
        wait_for_line(process, "installing")
        stop(process, number)
    assert list((tmp_path / "temporary").glob(TEMPORARY)) == []
    assert list((tmp_path / "models").iterdir()) == []
