"""The examples that people copy run as they stand."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest
from tests.conftest import CHECKOUT, skip_or_fail

from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

EXAMPLES = CHECKOUT / "client" / "examples"


@pytest.fixture(scope="module")
def model(repository: Path, load_model: Callable[[str], None]) -> str:
    """A detector that finds one object of class "thing" in everything."""
    write_noop_detector(repository, "example", options=NoopOptions(echo=True))
    load_model("example")
    return "example"


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [os.fspath(word) if isinstance(word, Path) else str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, cwd=cwd)


def test_every_example_is_tested() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == {
        "blocking.py",
        "asyncio_service.py",
        "numpy_frame.py",
        "curl.sh",
    }


def test_blocking(server: EmbeddedServer, model: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    pictures = [CHECKOUT / "tests" / "nowhere.jpg", tmp_path / "text.jpg"]
    ran = run(sys.executable, EXAMPLES / "blocking.py", "--url", server.grpc_url, "--model", model)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(": 1 objects") >= 10
    assert "thing" in ran.stdout
    ran = run(sys.executable, EXAMPLES / "blocking.py", *pictures, "--url", server.grpc_url, "--model", model)
    assert "No such file" in ran.stdout
    assert len(ran.stdout.splitlines()) == 2


def test_asyncio(server: EmbeddedServer, model: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    ran = run(sys.executable, EXAMPLES / "asyncio_service.py", "--url", server.grpc_url, "--model", model)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count(": thing ") >= 10
    ran = run(
        sys.executable,
        EXAMPLES / "asyncio_service.py",
        tmp_path / "text.jpg",
        "--url",
        server.grpc_url,
        "--model",
        model,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"{tmp_path / 'text.jpg'}: ")


def test_numpy_frame(server: EmbeddedServer, model: str, tmp_path: Path) -> None:
    ran = run(sys.executable, EXAMPLES / "numpy_frame.py", "--url", server.grpc_url, "--model", model, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert "1 objects in " in ran.stdout
    assert cv2.imread(str(tmp_path / "frame.jpg")) is not None


@pytest.mark.system
def test_curl(server: EmbeddedServer, model: str) -> None:
    if shutil.which("curl") is None:
        skip_or_fail("needs curl")
    picture = sorted((CHECKOUT / "export/sightline_export/demo/pictures").glob("*.jpg"))[0]
    ran = run("sh", EXAMPLES / "curl.sh", picture, server.http_url, model)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("1 objects\nclass 0 score ")
    ran = run("sh", EXAMPLES / "curl.sh", picture, server.http_url, "nobody")
    assert ran.returncode != 0
    assert "nobody" in ran.stderr
