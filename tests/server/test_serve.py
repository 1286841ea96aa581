"""`sightline serve` as a user runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sightline_bench.noop import write_noop_detector
from sightline_server.supervisor import relatives

pytestmark = pytest.mark.usefixtures("server")  # skips where no server can run

COMMAND = Path(sys.executable).with_name("sightline")
ANY_PORTS = ("--grpc-port", "0", "--http-port", "0", "--metrics-port", "0")


def serve(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(COMMAND), "serve", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    write_noop_detector(tmp_path / "models")
    log = tmp_path / "triton.log"
    with serve("--repository", tmp_path / "models", *ANY_PORTS, "--log-file", log) as process:
        assert process.stdout is not None
        shown = ""
        while "Ctrl-C stops it." not in shown:
            line = process.stdout.readline()
            assert line, process.communicate()
            shown += line
        (supervisor,) = relatives_of(process.pid)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "gRPC      127.0.0.1:" in shown
    assert "UNVERIFIED, never seen to find what they were exported from: noop; `sightline models` says why" in shown
    assert "_sightline" not in shown
    assert errors.splitlines()[-1] == "Stopped."
    assert "successfully loaded 'noop'" in log.read_text()
    assert "successfully loaded" not in errors
    assert list(relatives(supervisor)) == []


def relatives_of(pid: int) -> list[int]:
    """Its children that lead a session of their own."""
    return [child for child in relatives(pid) if os.getsid(child) == child]


def test_stops_while_it_is_loading(tmp_path: Path) -> None:
    write_noop_detector(tmp_path / "models")
    with serve("--repository", tmp_path / "models", *ANY_PORTS, "--verbose") as process:
        assert process.stderr is not None
        while "loading: noop" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert errors.splitlines()[-1] == "Stopped."


def test_a_bad_repository_is_one_line(tmp_path: Path) -> None:
    with serve("--repository", tmp_path / "nowhere") as process:
        shown, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert shown == ""
    assert errors.splitlines()[-1].startswith("error: model repository ")
    assert "Traceback" not in errors


def test_a_server_that_dies_is_an_error(tmp_path: Path) -> None:
    write_noop_detector(tmp_path / "models")
    with serve("--repository", tmp_path / "models", *ANY_PORTS) as process:
        assert process.stdout is not None
        while "Ctrl-C stops it." not in process.stdout.readline():
            assert process.poll() is None
        (supervisor,) = relatives_of(process.pid)
        server = min(pid for pid in relatives(supervisor) if "tritonserver" in Path(f"/proc/{pid}/comm").read_text())
        os.kill(server, signal.SIGKILL)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the server ended by itself: killed by SIGKILL" in errors
