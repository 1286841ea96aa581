"""Runs deploy/triton/start.sh as the container does, with the embedded server's `tritonserver` and stand-ins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.deploy.compose_file import CHECKOUT, read_env

from sightline_server import staging
from sightline_server.locate import locate_triton
from sightline_server.options import ServerOptions
from sightline_server.ports import choose_ports

START = CHECKOUT / "deploy" / "triton" / "start.sh"
EMBEDDED_VERSION = "2.51.0"
READY_SECONDS = 120
LOOPBACK = "127.0.0.1"
ADMIN_HEADER = "sightline-admin-key"


class Answer(NamedTuple):
    """What an HTTP request got."""

    status: int
    text: str


class TritonProcess:
    """A running tritonserver that start.sh became; ready once the object exists.

    Args:
        repository: folder of models.
        log_file: where its output goes.
        settings: environment variables of start.sh beside those of .env.
    """

    def __init__(self, repository: Path, log_file: Path, **settings: str) -> None:
        files = locate_triton()
        options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0)
        self.ports = choose_ports(options)
        self.log_file = log_file
        self._folder = staging.stage(files)
        environment = {
            **staging.server_environment(self._folder, files, options),
            **read_env(),
            "TRITON_SERVER_VERSION": EMBEDDED_VERSION,
            "MODEL_REPOSITORY": str(repository),
            **settings,
        }
        environment["PATH"] = os.pathsep.join((str(files.binary.parent), environment["PATH"]))
        # What only this installation needs: its folders, and free ports on loopback.
        arguments = [
            f"--model-repository={staging.own_repository(self._folder)}",
            f"--backend-directory={staging.backends_folder(self._folder)}",
            f"--cache-directory={files.caches}",
            *(f"--{service}-address={LOOPBACK}" for service in ("grpc", "http", "metrics")),
            f"--grpc-port={self.ports.grpc}",
            f"--http-port={self.ports.http}",
            f"--metrics-port={self.ports.metrics}",
        ]
        with log_file.open("wb") as log:
            self.process = subprocess.Popen(
                [str(START), *arguments], env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> TritonProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def grpc_url(self) -> str:
        """`HOST:PORT` of the gRPC service."""
        return f"{LOOPBACK}:{self.ports.grpc}"

    @property
    def http_url(self) -> str:
        """`HOST:PORT` of the HTTP service."""
        return f"{LOOPBACK}:{self.ports.http}"

    @property
    def metrics_url(self) -> str:
        """`HOST:PORT` of the metrics."""
        return f"{LOOPBACK}:{self.ports.metrics}"

    @property
    def log(self) -> str:
        """What it printed so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def ask(self, path: str, *, method: str = "GET", key: str | None = None) -> Answer:
        """An HTTP request, with an admin key or without."""
        connection = HTTPConnection(LOOPBACK, self.ports.http, timeout=60)
        headers = {"Content-Type": "application/json", **({ADMIN_HEADER: key} if key else {})}
        try:
            connection.request(method, path, body=b"{}" if method == "POST" else None, headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def stop(self) -> int:
        """Ask it to end, as docker does, and wait; its exit status."""
        self.process.terminate()
        return self.process.wait(timeout=READY_SECONDS)

    def close(self) -> None:
        """End it and remove its folder."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill(self) -> None:
        """End it without waiting for anything, and remove its folder."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            assert self.process.poll() is None, f"start.sh ended with {self.process.returncode}:\n{self.log[-3000:]}"
            assert time.monotonic() < deadline, f"not ready in time:\n{self.log[-3000:]}"
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            return self.ask("/v2/health/ready").status == 200
        except OSError:
            return False
