"""Runs the Triton of the nvidia-pytriton wheel as a child process: for development and trial, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import asdict
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from types import TracebackType

from sightline.contract import LOOPBACK_HOST, EngineInfo
from sightline.errors import LaunchError, ModelLoadError, PortInUseError
from sightline_server import log, repository, staging, supervisor
from sightline_server.command import server_command
from sightline_server.engine_report import recorded_engines
from sightline_server.gpu import NO_GPUS, Gpus, find_gpus, lacking_engine
from sightline_server.locate import TritonFiles, locate_triton
from sightline_server.options import ServerOptions
from sightline_server.ports import choose_ports

__all__ = ["EmbeddedServer", "ServerOptions"]

_ATTEMPTS = 3
_POLL_SECONDS = 0.05
_PROBE_TIMEOUT_SECONDS = 5.0
_UNSPECIFIED = {"0.0.0.0": LOOPBACK_HOST, "::": "::1"}


class EmbeddedServer:
    """A running Triton, ready for requests from the moment the object exists until `close`.

    Use it as a context manager. However the server or this process ends, a supervising process removes the server's
    processes, shared memory and temporary folder.

    Args:
        options: repository, ports and limits.
        gpus: the GPUs that there are; None looks for them, unless the options rule them out.

    Raises:
        MissingDependencyError: this machine cannot run it, or a package is not installed.
        PortInUseError: somebody listens on a chosen port.
        ModelLoadError: a model did not load; the message names it, its file and the reason.
        LaunchError: the repository is none, or the server ended or was not ready in time.
    """

    def __init__(self, options: ServerOptions, *, gpus: Gpus | None = None) -> None:
        self.options = options
        self._owner_pid = os.getpid()
        self._closed = False
        self._supervisor: subprocess.Popen[bytes] | None = None
        # First of all: where no server can run, a repository would not help.
        files = locate_triton()
        repository.check_repository(options.repository, options.models)
        self._gpus = _gpus(options) if gpus is None else gpus
        for attempts_left in reversed(range(_ATTEMPTS)):
            self._ports = choose_ports(options)
            self._folder = staging.stage(files, self._gpus)
            try:
                self._start(files)
                self._wait_until_ready()
                self._tell_of_idle_gpus()
                return
            except PortInUseError:
                # Somebody was quicker at a port that was free a moment ago.
                self._abort()
                if not attempts_left:
                    raise
            except BaseException:
                self._abort()
                raise

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def grpc_url(self) -> str:
        """`HOST:PORT` of the gRPC service, without a scheme."""
        return self._address(self._ports.grpc)

    @property
    def http_url(self) -> str:
        """`HOST:PORT` of the HTTP service, without a scheme."""
        return self._address(self._ports.http)

    @property
    def metrics_url(self) -> str:
        """`HOST:PORT` of the Prometheus metrics, without a scheme; their path is `/metrics`."""
        return self._address(self._ports.metrics)

    @property
    def pid(self) -> int:
        """Process id of `tritonserver`."""
        return self._server_pid

    @property
    def run_folder(self) -> Path:
        """The run's temporary folder."""
        return self._folder

    @property
    def shared_memory_prefix(self) -> str:
        """How the names of the run's segments in /dev/shm begin."""
        return self._shared_memory_prefix

    def engines(self) -> dict[str, EngineInfo]:
        """What runs each model that a stand-in backend serves, by model name."""
        return recorded_engines(self._folder)

    def model_names(self) -> list[str]:
        """The user's models that are served, sorted."""
        if self.options.models:
            return repository.with_parts(self.options.repository, self.options.models)
        return repository.model_names(self.options.repository)

    def describe_end(self) -> str:
        """How the server ended, as far as its exit status and its log tell, on one line."""
        status = self.wait(0)
        words = f"its log ends: {log.last_words(self.log_tail())}"
        if status is None:
            return words
        number = status - supervisor.SIGNAL_STATUS
        how = f"killed by {signal.Signals(number).name}" if number in set(signal.Signals) else f"exit status {status}"
        return f"{how}; {words}"

    def log_tail(self) -> list[str]:
        """The last lines of the server's log."""
        return self._log.tail()

    def wait(self, timeout_seconds: float | None = None) -> int | None:
        """Wait for the server to end by itself; its exit status, or None where it still runs after that time."""
        if self._supervisor is None:
            return 0
        try:
            return self._supervisor.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """Let requests in flight finish, end the server, and remove its traces; does nothing the second time."""
        if not self._closed:
            self._shut_down(patience_seconds=self.options.stop_timeout_seconds)
            self._closed = True

    def _start(self, files: TritonFiles) -> None:
        self._shared_memory_prefix = f"{staging.FOLDER_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}-"
        self._control, theirs = socket.socketpair()
        plan = supervisor.Plan(
            command=server_command(
                self.options, files, self._ports, self._folder, self._shared_memory_prefix, self._gpus
            ),
            folder=str(self._folder),
            shared_memory_prefix=self._shared_memory_prefix,
            launcher_pid=os.getpid(),
            stop_timeout_seconds=self.options.stop_timeout_seconds,
        )
        with theirs:
            # A session of its own keeps the terminal's Ctrl-C away: this process decides when the server stops.
            started = self._supervisor = subprocess.Popen(
                [sys.executable, "-I", "-S", str(Path(supervisor.__file__)), json.dumps(asdict(plan))],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=staging.server_environment(self._folder, files, self.options, self._gpus),
                start_new_session=True,
            )
        assert started.stdout is not None
        self._log = log.ServerLog(started.stdout, self.options.log_handler)
        self._server_pid = self._read_pid()

    def _tell_of_idle_gpus(self) -> None:
        """Triton starts instances on the CPU where it cannot use a GPU, with an old driver for example."""
        engines = self.engines().values()
        if self._gpus.count and engines and all(info.device == "cpu" and not info.reason for info in engines):
            log.logger.warning(
                "models run on the CPU: Triton uses none of the NVIDIA GPUs (%d); its log, of `sightline serve "
                "--verbose`, says why",
                self._gpus.count,
            )

    def _read_pid(self) -> int:
        with self._control.makefile("rb") as lines:
            text = lines.readline()
        return int(text or -1)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.options.ready_timeout_seconds
        while not self._is_ready():
            if self._has_ended() or self._log.gave_up:
                raise self._explain_failure()
            if time.monotonic() > deadline:
                raise LaunchError(
                    f"the server was not ready within {self.options.ready_timeout_seconds:g} s; {self.describe_end()}"
                )
            time.sleep(_POLL_SECONDS)

    def _is_ready(self) -> bool:
        # The metrics service is the last to start.
        return self._answers(self._ports.http, "/v2/health/ready") and self._answers(self._ports.metrics, "/metrics")

    def _answers(self, port: int, path: str) -> bool:
        connection = HTTPConnection(self._host, port, timeout=_PROBE_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def _explain_failure(self) -> LaunchError:
        if self._has_ended():
            self._log.join(timeout_seconds=1.0)
        lines = self.log_tail()
        if failures := log.model_failures(lines):
            return ModelLoadError(repository.describe_failures(self.options.repository, failures))
        if (port := log.taken_port(lines)) is not None:
            return PortInUseError(f"port {port} on {self.options.host} was taken while the server started: try again")
        return LaunchError(f"the server ended while it started: {self.describe_end()}")

    def _has_ended(self) -> bool:
        return self.wait(0) is not None

    def _abort(self) -> None:
        """Stop without waiting: nobody has used the server yet."""
        if not self._has_ended():
            with contextlib.suppress(BrokenPipeError):  # it ended in between
                self._control.sendall(supervisor.KILL)
        self._shut_down(patience_seconds=0.0)

    def _shut_down(self, *, patience_seconds: float) -> None:
        if os.getpid() != self._owner_pid:
            return  # a fork's copy: the server belongs to the parent
        if self._supervisor is None:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        self._control.close()
        if self.wait(patience_seconds + supervisor.CLEANUP_SECONDS) is None:
            self._supervisor.kill()
            self._supervisor.wait()
        if self._supervisor.returncode < 0:
            # It was killed before it could do this itself.
            supervisor.kill_orphans(self._supervisor.pid)
        supervisor.remove_leftovers(self._folder, self._shared_memory_prefix)
        self._log.join(timeout_seconds=1.0)

    @property
    def _host(self) -> str:
        return _UNSPECIFIED.get(self.options.host, self.options.host)

    def _address(self, port: int) -> str:
        return f"[{self._host}]:{port}" if ":" in self._host else f"{self._host}:{port}"


def _gpus(options: ServerOptions) -> Gpus:
    """The GPUs to use; that there are some which cannot be used is told of."""
    if not options.use_gpus:
        return NO_GPUS
    gpus = find_gpus()
    problem = gpus.problem
    if gpus.count and (lack := lacking_engine()):
        problem = f"there are NVIDIA GPUs ({gpus.count}), but {lack}"
    if problem:
        log.logger.warning("models run on the CPU: %s", problem)
        return NO_GPUS
    return gpus
