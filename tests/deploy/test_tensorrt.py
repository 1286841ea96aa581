"""Plans before and in a running server: what start.sh refuses, and how a server goes over to another version."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.conftest import skip_or_fail
from tests.deploy.compose_file import CHECKOUT, read_env
from tests.deploy.triton_process import LOOPBACK, START, TritonProcess
from tests.export.fake_tensorrt import L4, T4, FakeTensorRT, write_tiny_detector

from sightline import Client, ClientOptions
from sightline.cli import cli
from sightline.errors import MissingDependencyError

PICTURE = CHECKOUT / "export" / "sightline_export" / "demo" / "pictures" / "crowd.jpg"
PLAN_CHECK = CHECKOUT / "export" / "sightline_export" / "tensorrt" / "manifest.py"


class Plans:
    """A model repository with one detector, and its plans, made by commands as people give them."""

    def __init__(self, folder: Path) -> None:
        (folder / "tools").mkdir()
        self.tools = FakeTensorRT(folder / "tools")
        self.models, self.plans, self._cache = folder / "models", folder / "plans", folder / "cache"

    def run(self, command: str, *words: str) -> str:
        """What `sightline tensorrt COMMAND` prints."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PATH", str(self.tools.folder), prepend=os.pathsep)
            done = CliRunner().invoke(cli, ["tensorrt", command, *words, f"--plans={self.plans}"])
        assert done.exit_code == 0, done.output
        return done.output

    def build(self, *, seed: int, max_detections: int = 40) -> str:
        """Bring the plan of a detector that finds other things for every seed up to date."""
        write_tiny_detector(self.models, "tiny", seed=seed, max_detections=max_detections)
        return self.run("build", f"--repository={self.models}", f"--cache={self._cache}", "--precision=fp32")

    @contextlib.contextmanager
    def loadable(self) -> Iterator[None]:
        """There is no GPU here: ONNX Runtime loads what stands in the place of the plans."""
        config = self.plans / "tiny_net" / "config.pbtxt"
        written = config.read_text()
        config.write_text(written.replace('"tensorrt"', '"onnxruntime"'))
        yield
        config.write_text(written)


@pytest.fixture
def plans(tmp_path: Path) -> Plans:
    return Plans(tmp_path)


# --- before the server starts -----------------------------------------------------------------------------------
@pytest.fixture
def printer(tmp_path: Path) -> Path:
    """A `tritonserver` that says that it was started."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "tritonserver").write_text("#!/bin/sh\necho started\n")
    (folder / "tritonserver").chmod(0o755)
    return folder


def start(plans: Plans, printer: Path) -> subprocess.CompletedProcess[str]:
    settings = {"MODEL_REPOSITORY": str(plans.plans), "PLAN_CHECK": str(PLAN_CHECK), "ADMIN_KEY_FILE": ""}
    path = os.pathsep.join((str(printer), str(plans.tools.folder), os.environ["PATH"]))
    environment = {**os.environ, **read_env(), **settings, "PATH": path, "TRITON_SERVER_VERSION": "2.71.0"}
    return subprocess.run([START], env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_a_server_starts_on_the_machine_that_its_plans_were_built_on_and_on_no_other(
    plans: Plans, printer: Path
) -> None:
    plans.build(seed=0)
    done = start(plans, printer)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("started\n")
    plans.tools.gpus(T4)
    done = start(plans, printer)
    assert done.returncode == 1
    assert "started" not in done.stdout
    assert "GPU is Tesla T4 (compute capability 7.5), it was built for NVIDIA L4" in done.stderr
    assert "build it for this machine: docker compose run --rm export" in done.stderr
    plans.tools.gpus(L4)
    assert start(plans, printer).returncode == 0


# --- in a running server ----------------------------------------------------------------------------------------
@pytest.fixture
def triton(plans: Plans, admin_key_file: Path, tmp_path: Path) -> Iterator[TritonProcess]:
    """A server on the first version of the plans."""
    plans.tools.tell(copies_onnx=True)
    plans.build(seed=0)
    try:
        with plans.loadable():
            running = TritonProcess(plans.plans, tmp_path / "triton.log", ADMIN_KEY_FILE=str(admin_key_file))
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise
    with running:
        yield running


class Traffic:
    """Requests one after another, from their own thread, until the block ends."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.failures: list[BaseException] = []
        self.scores: list[float] = []

    def _run(self) -> None:
        with Client(self._url, model="tiny", options=ClientOptions(reconnect_seconds=0)) as client:
            while not self._stop.is_set():
                try:
                    self.scores.append(best_score(client))
                except Exception as error:  # noqa: BLE001 - whatever a user would see
                    self.failures.append(error)

    def __enter__(self) -> Traffic:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def best_score(client: Client) -> float:
    return round(float(client.detect(PICTURE, score_threshold=0.001).scores[0]), 5)


def reload(printed: str, triton: TritonProcess, admin_key_file: Path) -> None:
    """Run the commands that build and rollback print."""
    commands = re.findall(r"^  (printf .*)$", printed, re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        assert "127.0.0.1:8000" in command
        here = command.replace("127.0.0.1:8000", triton.http_url).replace("ADMIN_KEY_FILE", str(admin_key_file))
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", here], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_a_running_server_goes_over_to_a_new_plan_and_back_without_a_failed_request(
    plans: Plans, triton: TritonProcess, admin_key_file: Path
) -> None:
    if shutil.which("curl") is None:
        skip_or_fail("needs curl")
    assert triton.http_url.startswith(LOOPBACK)
    options = ClientOptions(reconnect_seconds=0)
    with Client(triton.grpc_url, model="tiny", options=options) as client, Traffic(triton.grpc_url) as traffic:
        old = best_score(client)
        # Of other shapes too, so that the ensemble has to change with its network.
        printed = plans.build(seed=1, max_detections=30)
        assert best_score(client) == old, "nothing changes before the server is told"
        with plans.loadable():
            reload(printed, triton, admin_key_file)
        new = best_score(client)
        assert new != old
        printed = plans.run("rollback", "tiny")
        with plans.loadable():
            reload(printed, triton, admin_key_file)
        assert best_score(client) == old
    assert traffic.failures == []
    assert set(traffic.scores) == {old, new}
