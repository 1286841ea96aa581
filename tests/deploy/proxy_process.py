"""Runs deploy/proxy/start.sh as the container does: not as root, and with one folder that it can write to."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import NamedTuple

from tests.conftest import CHECKOUT, NOBODY

from sightline import Access

SOURCE = CHECKOUT / "deploy" / "proxy"
LOOPBACK = "127.0.0.1"
READY_SECONDS = 30.0
STOP_SECONDS = 30.0
NOBODY_LISTENS = f"{LOOPBACK}:1"

# Who the container runs as, where tests run as root. By a program, as Python would have to fork for it: with gRPC's
# threads around, the child may hang.
_AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups") if os.geteuid() == 0 else ()


class Answer(NamedTuple):
    """What an HTTP request got; headers by their names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: str


class Proxy:
    """A running nginx that start.sh became; it takes connections once the object exists.

    Its folder stands for the container: `config` is deploy/proxy, `private` has certificate and tokens, `run` is /tmp.

    Args:
        grpc: `HOST:PORT` of Triton's gRPC service.
        http: the same of its HTTP service.
        tokens: class of each token, by name.
        classes: lines of the table of classes beyond those that are delivered.
    """

    def __init__(
        self,
        *,
        grpc: str = NOBODY_LISTENS,
        http: str = NOBODY_LISTENS,
        tokens: Mapping[str, str] | None = None,
        classes: str = "",
    ) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="sightline-proxy-"))
        self.private = self.folder / "private"
        self.log_file = self.folder / "log"
        shutil.copytree(SOURCE, self.folder / "config", ignore=shutil.ignore_patterns("private"))
        with (self.folder / "config" / "classes").open("a", encoding="utf-8") as table:
            table.write(classes)
        self.url = f"localhost:{free_port()}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PROXY_LISTEN": self.url.replace("localhost", LOOPBACK),
            "PROXY_GRPC": grpc,
            "PROXY_HTTP": http,
            "PROXY_PRIVATE": str(self.private),
            "PROXY_RUN": str(self.folder / "run"),
        }
        (self.folder / "run").mkdir()
        self.run_script("dev-certificate.sh")
        for name, class_ in (tokens or {"alice": "standard"}).items():
            self.run_script("new-token.sh", name, class_)
        self._hand_over()
        self.process = self._start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop nginx as Docker does, and remove the folder."""
        self.process.send_signal(signal.SIGQUIT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            shutil.rmtree(self.folder)

    @property
    def ca(self) -> Path:
        """The certificate to trust."""
        return self.private / "ca.crt"

    def token_file(self, name: str) -> Path:
        """The file with the token of that name."""
        return self.private / f"{name}.token"

    def token(self, name: str) -> str:
        """The token of that name."""
        return self.token_file(name).read_text(encoding="utf-8")

    def access(self, name: str | None = "alice") -> Access:
        """What lets a client in."""
        return Access.from_files(tls_ca=self.ca, token_file=None if name is None else self.token_file(name))

    def log(self) -> str:
        """What nginx has said so far, its access log included."""
        return self.log_file.read_text(encoding="utf-8")

    def log_with(self, text: str) -> str:
        """The log as soon as it holds that text: nginx writes a line when the answer has gone out."""
        deadline = time.monotonic() + READY_SECONDS
        while text not in self.log():
            assert time.monotonic() < deadline, f"{text} is not in the log: {self.log()}"
            time.sleep(0.02)
        return self.log()

    def run_script(self, name: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run one of the delivered scripts."""
        as_container = name not in ("dev-certificate.sh", "new-token.sh")
        command = [*(_AS_NOBODY if as_container else ()), str(self.folder / "config" / name), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0 or not check, done.stderr
        return done

    def add_token(self, name: str, class_: str = "standard") -> None:
        """Add one; it counts after a reload."""
        self.run_script("new-token.sh", name, class_)
        self._hand_over()

    def reload(self, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Have it take over what changed in `private` and `config`."""
        return self.run_script("reload.sh", check=check)

    def get(
        self,
        path: str,
        *,
        token: str | None = "alice",
        body: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        """An HTTP/1.1 request."""
        sent = dict(headers) if token is None else {**headers, "authorization": f"Bearer {self.token(token)}"}
        request = urllib.request.Request(f"https://{self.url}{path}", headers=sent, data=body)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.tls_context()) as answer:
                return Answer(answer.status, _by_lower_case(answer.headers), answer.read().decode())
        except urllib.error.HTTPError as error:
            return Answer(error.code, _by_lower_case(error.headers), error.read().decode())

    def tls_context(self) -> ssl.SSLContext:
        """What trusts this proxy only."""
        return ssl.create_default_context(cafile=str(self.ca))

    def _hand_over(self) -> None:
        """Let the container's user read what is its own to read, and write into one folder."""
        if os.geteuid() != 0:
            return
        self.folder.chmod(0o755)
        for path in (self.folder / "run", self.private, *self.private.iterdir()):
            os.chown(path, NOBODY, NOBODY)

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log_file.open("wb") as log:
            if os.geteuid() == 0:
                os.fchown(log.fileno(), NOBODY, NOBODY)  # as Docker does with a container's output
            command = [*_AS_NOBODY, str(self.folder / "config" / "start.sh")]
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            # A connection alone proves nothing: the check of the configuration listens too, for a moment.
            with contextlib.suppress(OSError):
                if self.get("/healthz", token=None).status == HTTPStatus.OK:
                    return process
            time.sleep(0.02)
        process.kill()
        process.wait(STOP_SECONDS)
        told = self.log()
        shutil.rmtree(self.folder)
        raise AssertionError(f"nginx did not start: {told}")


def _by_lower_case(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
