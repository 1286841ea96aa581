"""The service `proxy` as docker would run it, but for the image: its entry point, in its folders, with its rights."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.client.noop_images import expected, found, numbered
from tests.deploy.compose_file import CHECKOUT, read_compose
from tests.deploy.conftest import program
from tests.deploy.jail import jail
from tests.deploy.proxy_process import SOURCE, free_port

from sightline import Access, Client, ClientOptions
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.system

PATIENCE_SECONDS = 30.0


class Container:
    """What `docker compose --profile proxy up` starts, on a free port of this machine and before another Triton."""

    def __init__(self, folder: Path, *, grpc: str, http: str) -> None:
        program("nginx", "nginx")
        self.private = folder
        self.service: dict[str, Any] = read_compose(PROXY_PRIVATE=str(folder))["services"]["proxy"]
        self.url = f"localhost:{free_port()}"
        self._variables = [
            "PATH=/usr/sbin:/usr/bin",
            *(f"{name}={value}" for name, value in self.service["environment"].items()),
            f"PROXY_LISTEN={self.url.replace('localhost', '127.0.0.1')}",
            f"PROXY_GRPC={grpc}",
            f"PROXY_HTTP={http}",
        ]
        self.log_file = folder.parent / "log"
        uid, gid = map(int, self.service["user"].split(":"))
        with self.log_file.open("wb") as log:
            os.fchown(log.fileno(), uid, gid)  # as docker does
            command = [*jail(self.service, {}), "env", *self._variables, *self.service["entrypoint"]]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def is_healthy(self) -> bool:
        """What its health check says."""
        test = [part.replace("127.0.0.1:8443", self.url) for part in self.service["healthcheck"]["test"][1:]]
        return subprocess.run(test, check=False, timeout=30).returncode == 0

    def wait(self) -> None:
        """Until it is healthy."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.is_healthy():
            assert self.process.poll() is None, self.log_file.read_text()
            assert time.monotonic() < deadline, self.log_file.read_text()

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        """What `docker compose exec proxy` does."""
        user = self.service["user"].partition(":")[0]
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", "--wd"]
        rights = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--bounding-set=-all"]
        return subprocess.run(
            [*enter, *rights, "env", "--ignore-environment", *self._variables, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def close(self) -> None:
        """As docker stops it: by the image's signal."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(PATIENCE_SECONDS)


def make_private(folder: Path, owner: str) -> None:
    """Certificate and token by the delivered scripts, for the user of the container."""
    environment = {**os.environ, "PROXY_PRIVATE": str(folder)}
    for command in (["dev-certificate.sh"], ["new-token.sh", "alice"]):
        subprocess.run([str(SOURCE / command[0]), *command[1:]], env=environment, check=True, capture_output=True)
    uid, gid = map(int, owner.split(":"))
    for path in (folder, *folder.iterdir()):
        os.chown(path, uid, gid)


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """The folder that is to be mounted."""
    folder = tmp_path / "private"
    folder.mkdir()
    return folder


@pytest.fixture
def container(private: Path, server: EmbeddedServer) -> Iterator[Container]:
    if os.geteuid() == 0:
        make_private(private, read_compose()["services"]["proxy"]["user"])
    running = Container(private, grpc=server.grpc_url, http=server.http_url)
    running.wait()
    yield running
    running.close()


def test_it_serves_and_reloads(container: Container, repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    load_model("echo")
    access = Access.from_files(tls_ca=container.private / "ca.crt", token_file=container.private / "alice.token")
    with Client(container.url, model="echo", options=ClientOptions(access=access)) as client:
        assert [found(result) for result in client.stream([numbered(1)])] == [expected(numbered(1))]
        folder = container.service["volumes"][0]["target"]
        assert (CHECKOUT / container.service["volumes"][0]["source"]).resolve() == SOURCE
        reloaded = container.exec(f"{folder}/reload.sh")
        assert (reloaded.returncode, reloaded.stdout) == (0, "proxy: reloaded\n"), reloaded.stderr
        assert [found(result) for result in client.stream([numbered(2)])] == [expected(numbered(2))]
    assert "Read-only file system" in container.exec("touch", f"{folder}/written").stderr


def test_a_folder_that_it_may_not_read(private: Path) -> None:
    """Files of root, say, whom the container's user is not."""
    if os.geteuid() == 0:
        make_private(private, "0:0")
    refused = Container(private, grpc="127.0.0.1:1", http="127.0.0.1:1")
    assert refused.process.wait(PATIENCE_SECONDS) == 1
    told = "proxy: cannot read /run/private/tls.crt as user 1000: it is missing, or belongs to somebody else\n"
    assert refused.log_file.read_text() == told
