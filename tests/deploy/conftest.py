"""What the tests of the deployment share."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from tests.conftest import skip_or_fail
from tests.deploy.compose_file import CHECKOUT
from tests.deploy.proxy_process import Proxy
from tests.deploy.triton_process import TritonProcess

from sightline.errors import MissingDependencyError
from sightline_server.launcher import EmbeddedServer

ADMIN_KEY = "0123456789abcdef-for-tests"


@pytest.fixture(scope="session")
def demo_repository() -> Path:
    """The committed model repository."""
    return CHECKOUT / "model_repository"


@pytest.fixture(scope="session")
def admin_key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A secret with `ADMIN_KEY`."""
    file = tmp_path_factory.mktemp("secrets") / "admin_key"
    file.write_text(f"{ADMIN_KEY}\n", encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def triton(
    tmp_path_factory: pytest.TempPathFactory, demo_repository: Path, admin_key_file: Path
) -> Iterator[TritonProcess]:
    """The one server of the session that deploy/triton/start.sh started, on the demo detector, with an admin key."""
    log_file = tmp_path_factory.mktemp("triton") / "triton.log"
    try:
        running = TritonProcess(demo_repository, log_file, ADMIN_KEY_FILE=str(admin_key_file))
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise
    with running:
        yield running


def send_what_is_no_picture(triton: TritonProcess) -> None:
    """One request to the demo detector that fails."""
    encoded = tritonclient.grpc.InferInput("encoded", [1, 10], "UINT8")
    encoded.set_data_from_numpy(np.frombuffer(b"no picture", np.uint8)[None])
    threshold = tritonclient.grpc.InferInput("score_threshold", [1, 1], "FP32")
    threshold.set_data_from_numpy(np.zeros((1, 1), np.float32))
    with (
        tritonclient.grpc.InferenceServerClient(triton.grpc_url) as client,
        pytest.raises(tritonclient.grpc.InferenceServerException, match="not an image"),
    ):
        client.infer("demo", [encoded, threshold])


def program(name: str, package: str) -> str:
    """Path of a program; skips, or fails under CI, where its Debian package is not installed."""
    found = shutil.which(name)
    if found is None:
        skip_or_fail(f"needs {name} (Debian package {package}, see deploy/apt.txt)")
    assert found
    return found


PROXY_TOKENS = {
    "alice": "standard",
    "trusty": "trusted",
    "root": "admin",
    "small": "small",
    "narrow": "narrow",
    "single": "single",
}
PROXY_CLASSES = """
small   500 64 1m 2 no
narrow  20  2  1m 0 no
single  900 1  1m 0 no
"""


@pytest.fixture(scope="session")
def proxy(server: EmbeddedServer) -> Iterator[Proxy]:
    """nginx before the session's server, with a token of each class, and of those that only tests have."""
    program("nginx", "nginx")
    with Proxy(grpc=server.grpc_url, http=server.http_url, tokens=PROXY_TOKENS, classes=PROXY_CLASSES) as running:
        yield running
