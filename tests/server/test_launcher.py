"""The launcher's promise: a server that is ready, and nothing left of it afterwards, however it ended."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import pytest

from sightline.errors import InvalidOptionError, LaunchError, MissingDependencyError, ModelLoadError, PortInUseError
from sightline_bench.noop import write_noop_detector
from sightline_server.launcher import EmbeddedServer, ServerOptions
from sightline_server.supervisor import SHARED_MEMORY_FOLDER, kill_relatives, relatives

pytestmark = pytest.mark.usefixtures("server")  # skips where no server can run

QUICKLY = 0.2
"""Seconds to wait for requests in flight, where there are none."""
WAIT_SECONDS = 20.0
MAPPED = "0000000000000000FFFF0000"
"""How /proc begins an IPv4 address on an IPv6 socket."""

SCRIPT = """
import json, sys, time
from pathlib import Path
from sightline_server.launcher import EmbeddedServer, ServerOptions
ports = dict.fromkeys(("grpc_port", "http_port", "metrics_port"), 0)
options = ServerOptions(repository=Path(sys.argv[1]), stop_timeout_seconds=0.2, **ports)
with EmbeddedServer(options) as server:
    print(json.dumps([server.pid, str(server.run_folder), server.shared_memory_prefix]), flush=True)
    time.sleep(60)
"""

STRANGER = """
import subprocess
child = subprocess.Popen(["sleep", "60"])
print("ready", flush=True)
input()
try:
    print("its child ended with", child.wait(0.3))
except subprocess.TimeoutExpired:
    child.kill()
    print("its child lives")
"""


@dataclass
class Traces:
    """Where a run's traces would be."""

    session: int
    folder: Path
    shared_memory_prefix: str

    @classmethod
    def of(cls, server: EmbeddedServer) -> Traces:
        traces = cls(os.getsid(server.pid), server.run_folder, server.shared_memory_prefix)
        assert len(traces.found()) >= 4, "the supervisor, Triton, a model's process, memory and a folder"
        return traces

    def found(self) -> list[str]:
        here = [f"process {pid}" for pid in relatives(self.session)]
        here += [
            entry.name for entry in SHARED_MEMORY_FOLDER.iterdir() if entry.name.startswith(self.shared_memory_prefix)
        ]
        return here + [str(self.folder)] * self.folder.exists()

    def disappear(self) -> bool:
        deadline = time.monotonic() + WAIT_SECONDS
        while self.found() and time.monotonic() < deadline:
            time.sleep(0.05)
        return not self.found()


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with the no-op detector."""
    write_noop_detector(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def start(models: Path) -> Iterator[Callable[..., EmbeddedServer]]:
    """Starts servers of `models`, with changed options, and closes them."""
    started: list[EmbeddedServer] = []

    def start(**changes: object) -> EmbeddedServer:
        values: dict[str, object] = {"grpc_port": 0, "http_port": 0, "metrics_port": 0, "stop_timeout_seconds": QUICKLY}
        started.append(EmbeddedServer(ServerOptions(repository=models, **values | changes)))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.close()


def write_python_model(repository: Path, name: str, initialize: str) -> None:
    """A model whose `initialize` runs these lines."""
    folder = repository / name
    (folder / "1").mkdir(parents=True)
    lines = "\n        ".join(initialize.splitlines())
    (folder / "1" / "model.py").write_text(
        f"class TritonPythonModel:\n    def initialize(self, args):\n        {lines}\n"
        "    def execute(self, requests):\n        pass\n"
    )
    (folder / "config.pbtxt").write_text(
        f'name: "{name}"\nbackend: "python"\ndefault_model_filename: "model.py"\n'
        'input [{name: "x" data_type: TYPE_FP32 dims: [1]}]\noutput [{name: "y" data_type: TYPE_FP32 dims: [1]}]\n'
        "instance_group [{count: 1 kind: KIND_CPU}]\n"
    )


def is_ready(server: EmbeddedServer) -> bool:
    connection = HTTPConnection(server.http_url, timeout=5)
    try:
        connection.request("GET", "/v2/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def test_ready_on_entry_and_gone_on_exit(models: Path) -> None:
    lines: list[str] = []
    options = ServerOptions(repository=models, grpc_port=0, http_port=0, metrics_port=0, log_handler=lines.append)
    with EmbeddedServer(options) as server:
        traces = Traces.of(server)
        assert is_ready(server)
        assert len({server.grpc_url, server.http_url, server.metrics_url}) == 3
    assert traces.found() == []
    assert any("successfully unloaded 'noop'" in line for line in lines), "it was given the time to end by itself"
    server.close()


def test_listens_on_loopback_only(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    ours = {int(url.rpartition(":")[2]) for url in (server.grpc_url, server.http_url, server.metrics_url)}
    listening: set[tuple[str, int]] = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{server.pid}/net/{table}").read_text().splitlines()[1:]:
            address, port = line.split()[1].split(":")
            if line.split()[3] == "0A" and int(port, 16) in ours:
                listening.add((address.removeprefix(MAPPED), int(port, 16)))
    assert listening == {("0100007F", port) for port in ours}


def test_ctrl_c_inside_the_context_leaves_nothing(models: Path) -> None:
    options = ServerOptions(repository=models, grpc_port=0, http_port=0, metrics_port=0, stop_timeout_seconds=QUICKLY)
    seen: list[Traces] = []

    def interrupted() -> None:
        with EmbeddedServer(options) as server:
            seen.append(Traces.of(server))
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen[0].found() == []


def test_a_killed_server_leaves_nothing(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    traces = Traces.of(server)
    os.kill(server.pid, signal.SIGKILL)
    assert server.wait(WAIT_SECONDS) == 128 + signal.SIGKILL
    assert traces.found() == []


def test_a_killed_supervisor_takes_the_server_along(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    traces = Traces.of(server)
    os.kill(traces.session, signal.SIGKILL)
    server.wait(WAIT_SECONDS)
    server.close()
    assert traces.disappear()


@pytest.mark.parametrize("how", ["closed before", "supervisor killed"])
def test_a_stranger_with_the_supervisors_number_is_left_alone(start: Callable[..., EmbeddedServer], how: str) -> None:
    server = start()
    supervisor = server._supervisor
    assert supervisor is not None
    if how == "closed before":
        server.close()
    else:
        supervisor.kill()
        supervisor.wait()
    with subprocess.Popen(
        [sys.executable, "-c", STRANGER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "ready\n"
        number, supervisor.pid = supervisor.pid, stranger.pid  # as if the system had given it away again
        server.close()
        output, _ = stranger.communicate("\n")
    kill_relatives(number)
    assert output == "its child lives\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_when_the_caller_dies_the_server_does(models: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(models)], stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        pid, folder, prefix = json.loads(caller.stdout.readline())
        traces = Traces(os.getsid(pid), Path(folder), prefix)
        assert len(traces.found()) >= 4
        caller.send_signal(number)
        caller.wait(WAIT_SECONDS)
        assert traces.disappear(), traces.found()


def test_children_of_models_go_too(models: Path, start: Callable[..., EmbeddedServer]) -> None:
    detached = "import subprocess\nsubprocess.Popen(['sleep', '60'], start_new_session=True)"
    write_python_model(models, "parent", detached)
    server = start()
    (sleeper,) = (pid for pid in descendants(server.pid) if Path(f"/proc/{pid}/comm").read_text().strip() == "sleep")
    server.close()
    assert not Path(f"/proc/{sleeper}").exists()


def descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield int(child)
            yield from descendants(int(child))


def test_outlives_the_thread_that_started_it(start: Callable[..., EmbeddedServer]) -> None:
    started: list[EmbeddedServer] = []
    thread = threading.Thread(target=lambda: started.append(start()))
    thread.start()
    thread.join()
    assert started[0].wait(0.5) is None
    assert is_ready(started[0])


def test_a_log_handler_that_fails_does_not_end_the_server(start: Callable[..., EmbeddedServer]) -> None:
    def fail(line: str) -> None:
        raise OSError(28, "No space left on device")

    server = start(log_handler=fail)
    assert server.wait(0.3) is None
    assert is_ready(server)


def test_a_fork_does_not_stop_it(start: Callable[..., EmbeddedServer]) -> None:
    server = start()
    child = os.fork()
    if child == 0:
        server.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert server.wait(0.3) is None
    assert is_ready(server)


def test_a_server_that_never_gets_ready_leaves_nothing(
    models: Path, start: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_python_model(models, "slow", "import time; time.sleep(60)")
    monkeypatch.setenv("SIGHTLINE_TEST", str(models))
    with pytest.raises(LaunchError, match=r"was not ready within 2 s"):
        start(ready_timeout_seconds=2)
    assert list(with_environment(f"SIGHTLINE_TEST={models}")) == []


def with_environment(setting: str) -> Iterator[int]:
    """Processes that were started with this variable."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and setting.encode() in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)


def test_a_model_that_fails_is_named_with_file_and_reason(models: Path, start: Callable[..., EmbeddedServer]) -> None:
    write_python_model(models, "good", "pass")
    write_python_model(models, "bad", "raise ValueError('no such\\nthing')")
    with pytest.raises(ModelLoadError) as raised:
        start()
    file = models / "bad" / "1" / "model.py"
    assert str(raised.value) == f"model 'bad' did not load ({file}): ValueError: no such thing"


def test_a_model_that_crashes_is_named(models: Path, start: Callable[..., EmbeddedServer]) -> None:
    write_python_model(models, "crashing", "import os; os.abort()")
    with pytest.raises(ModelLoadError, match="model 'crashing' did not load"):
        start()


def test_every_failing_model_is_told(models: Path, start: Callable[..., EmbeddedServer]) -> None:
    for name, text in {
        "unknown_field": 'name: "unknown_field"\nflavour: 3',
        "other_name": 'name: "somebody"\nbackend: "python"',
        "no_version": 'name: "no_version"\nbackend: "python"\n',
    }.items():
        (models / name).mkdir()
        (models / name / "config.pbtxt").write_text(text)
    with pytest.raises(ModelLoadError) as raised:
        start()
    told = {line.split("'")[1]: line for line in str(raised.value).splitlines()}
    assert told.keys() == {"unknown_field", "other_name", "no_version"}
    assert "flavour" in told["unknown_field"]
    assert "somebody" in told["other_name"]
    assert "version" in told["no_version"]


@pytest.mark.parametrize("option", ["grpc_port", "http_port", "metrics_port"])
def test_a_taken_port_is_told_with_its_option(start: Callable[..., EmbeddedServer], option: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"port {port} .*--{option.replace('_', '-')}"):
            start(**{option: port})


def test_chosen_ports_are_used_again_at_once(start: Callable[..., EmbeddedServer]) -> None:
    first = start()
    port = int(first.grpc_url.rpartition(":")[2])
    first.close()
    assert start(grpc_port=port).grpc_url == first.grpc_url


def test_bad_repositories(models: Path, tmp_path: Path, start: Callable[..., EmbeddedServer]) -> None:
    with pytest.raises(LaunchError, match="is not a folder"):
        EmbeddedServer(ServerOptions(repository=tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(LaunchError, match="holds no model"):
        EmbeddedServer(ServerOptions(repository=tmp_path / "empty"))
    with pytest.raises(LaunchError, match="has no model 'yolo'; it has noop"):
        start(models=("yolo",))


def test_a_wrong_platform_is_told_before_a_wrong_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(MissingDependencyError, match="use Triton in Docker or on another machine"):
        EmbeddedServer(ServerOptions(repository=tmp_path / "nowhere"))


def test_named_models_only_and_no_door_to_others(models: Path, start: Callable[..., EmbeddedServer]) -> None:
    import tritonclient.grpc
    from tritonclient.utils import InferenceServerException

    write_noop_detector(models, "other")
    server = start(models=("other",))
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        assert client.is_model_ready("other")
        assert not client.is_model_ready("noop")
        with pytest.raises(InferenceServerException):
            client.load_model("noop")
    assert server.model_names() == ["other"]


def test_files_of_the_current_folder_are_not_imported(
    tmp_path: Path, start: Callable[..., EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "numpy.py").write_text("raise ImportError('the wrong numpy')")
    monkeypatch.chdir(tmp_path)
    assert is_ready(start())


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"grpc_port": 70_000}, "grpc_port is 70000"),
        ({"grpc_port": -1}, "grpc_port is -1"),
        ({"grpc_port": 8000}, "must differ"),
        ({"host": "localhost"}, "IP address"),
        ({"ready_timeout_seconds": 0}, "ready_timeout_seconds"),
        ({"stop_timeout_seconds": float("nan")}, "stop_timeout_seconds"),
        ({"models": ("a",), "allow_model_control": True}, "allow_model_control"),
    ],
)
def test_options_are_checked(tmp_path: Path, changes: dict[str, object], match: str) -> None:
    with pytest.raises(InvalidOptionError, match=match):
        ServerOptions(repository=tmp_path, **changes)  # type: ignore[arg-type]
