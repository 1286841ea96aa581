"""`sightline` through the proxy, before the server that deploy/triton/start.sh runs: as people do it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tritonclient.grpc
import tritonclient.utils
from tests.deploy.conftest import ADMIN_KEY
from tests.deploy.proxy_process import Proxy
from tests.deploy.triton_process import TritonProcess

from sightline_export.sample import BUNDLED_FOLDER

pytestmark = pytest.mark.system

SIGHTLINE = str(Path(sys.executable).with_name("sightline"))


@pytest.fixture(scope="module")
def front(triton: TritonProcess) -> Iterator[Proxy]:
    tokens = {"camera": "standard", "operator": "admin"}
    with Proxy(grpc=triton.grpc_url, http=triton.http_url, tokens=tokens) as running:
        yield running


def sightline(
    front: Proxy, *arguments: str, ca: Path | None = None, token_file: Path | None = None
) -> subprocess.CompletedProcess[str]:
    command = [SIGHTLINE, *arguments, "--url", front.url, "--tls-ca", str(ca or front.ca)]
    if token_file is not None:
        command += ["--token-file", str(token_file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_detect_writes_what_is_found(front: Proxy, tmp_path: Path) -> None:
    output = tmp_path / "results"
    done = sightline(
        front,
        "detect",
        str(BUNDLED_FOLDER),
        "--model",
        "demo",
        "--output",
        str(output),
        token_file=front.token_file("camera"),
    )
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (output / "results.jsonl").read_text().splitlines()]
    assert len(rows) == len(list(BUNDLED_FOLDER.glob("*.jpg")))
    assert sum(len(row["detections"]) for row in rows) > 10
    assert (output / "errors.jsonl").read_text() == ""


@pytest.mark.parametrize(
    ("ca", "token", "complaint"),
    [
        (None, None, "does not accept the token, or wants one (--token-file FILE)"),
        (None, "list", "the token (not shown here) is empty, or holds other characters"),
        ("wrong", None, "that is no PEM text of certificates"),
    ],
)
def test_what_is_wrong_is_told_in_one_message(
    front: Proxy, tmp_path: Path, ca: str | None, token: str | None, complaint: str
) -> None:
    for name, content in (("wrong", "no certificate\n"), ("list", (front.private / "tokens").read_text())):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(0o600)
    done = sightline(
        front,
        "detect",
        "x.jpg",
        "--model",
        "demo",
        ca=None if ca is None else tmp_path / ca,
        token_file=None if token is None else tmp_path / token,
    )
    assert done.returncode != 0
    assert complaint in done.stderr.splitlines()[-1]
    assert front.token("camera") not in done.stderr


def test_a_list_that_is_kept_secret(front: Proxy) -> None:
    """Without --model, `detect` asks for the models, which the proxy denies; an operator sees those that are ready."""
    done = sightline(front, "detect", "x.jpg", token_file=front.token_file("camera"))
    assert done.returncode == 2
    assert "name the detector with --model" in done.stderr
    done = sightline(front, "models", token_file=front.token_file("operator"))
    assert done.returncode == 0
    assert done.stdout.startswith("demo: ready\n")


def test_model_control_takes_both_keys(front: Proxy) -> None:
    """An operator's token for the proxy, and Triton's own admin key."""
    admin_key = ("triton-grpc-protocol-sightline-admin-key", ADMIN_KEY)
    with tritonclient.grpc.InferenceServerClient(front.url, ssl=True, root_certificates=str(front.ca)) as client:
        index = client.get_model_repository_index(headers=dict([*front.access("operator").call_metadata, admin_key]))
        assert "demo" in {model.name for model in index.models}
        with pytest.raises(tritonclient.utils.InferenceServerException, match="does not allow this"):
            client.get_model_repository_index(headers=dict([*front.access("camera").call_metadata, admin_key]))


def test_public_authorities(front: Proxy) -> None:
    """gRPC's own list of them, which an environment variable replaces."""
    command = [SIGHTLINE, "models", "--url", front.url, "--tls", "--token-file", str(front.token_file("camera"))]
    environment = {**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(front.ca)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
    assert "does not allow this" in done.stderr


def test_a_token_file_that_all_may_read(front: Proxy, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(front.token("camera"))
    file.chmod(0o644)
    done = sightline(front, "models", token_file=file)
    assert f"warning: every user of this machine can read the token in {file}: chmod 600 {file}" in done.stderr


def test_a_token_from_a_pipe(front: Proxy, tmp_path: Path) -> None:
    """It can be read only once; a password manager's output comes so."""
    script = '"$0" detect "$1" --model demo --output "$2" --url "$3" --tls-ca "$4" --token-file <(cat "$5")'
    picture = str(next(BUNDLED_FOLDER.glob("*.jpg")))
    arguments = [SIGHTLINE, picture, str(tmp_path / "out"), front.url, str(front.ca), str(front.token_file("camera"))]
    done = subprocess.run(["bash", "-c", script, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, done.stderr)
    assert (tmp_path / "out" / "results.jsonl").read_text().count("\n") == 1
