"""Downloads of official checkpoints: whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Barrier

import pytest

from sightline.errors import CheckpointError
from sightline_export.asset import download

CONTENT = bytes(range(256)) * 10_000


class _Release(BaseHTTPRequestHandler):
    """Sends less of `short.pt` and `pieces.pt` than it states, and `both.pt` once two have asked for it."""

    both = Barrier(2)

    def do_GET(self) -> None:
        if self.path == "/both.pt":
            self.both.wait(timeout=30)
        if self.path == "/missing.pt":
            self.send_error(404)
            return
        self.send_response(200)
        if self.path == "/pieces.pt":
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path == "/pieces.pt":
            self.wfile.write(b"%x\r\n" % len(CONTENT) + CONTENT[:-1])
        else:
            self.wfile.write(CONTENT[: -7 if self.path == "/short.pt" else None])

    def log_message(self, *arguments: object) -> None:
        """Nothing on the test's output."""


@pytest.fixture
def release() -> Iterator[str]:
    """The address of a server of files."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Release) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_whole_file(release: str, tmp_path: Path) -> None:
    download(f"{release}/whole.pt", tmp_path / "whole.pt")
    assert (tmp_path / "whole.pt").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["whole.pt"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("short.pt", "the connection ended after 2559993 of 2560000 bytes"),
        ("pieces.pt", "IncompleteRead"),
        ("missing.pt", "HTTP Error 404"),
    ],
)
def test_what_does_not_arrive_whole_is_no_file(name: str, why: str, release: str, tmp_path: Path) -> None:
    said = rf"{name} does not exist here and could not be downloaded from {release}/{name} \({why}.*; try again"
    with pytest.raises(CheckpointError, match=said):
        download(f"{release}/{name}", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_for_one_file(release: str, tmp_path: Path) -> None:
    target = tmp_path / "both.pt"
    with ThreadPoolExecutor(2) as workers:
        for done in [workers.submit(download, f"{release}/both.pt", target) for _ in range(2)]:
            done.result()
    assert target.read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["both.pt"]
