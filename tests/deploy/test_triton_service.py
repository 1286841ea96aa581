"""The service `triton` as docker would run it, but for the image: its command, in its folders, with its rights."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.deploy.compose_file import read_compose, read_env
from tests.deploy.conftest import ADMIN_KEY
from tests.deploy.jail import jail

SERVER = """#!/bin/sh
printf '%s\\n' "$@"
id -u
touch /models/written /opt/sightline/written
cp /usr/bin/true /tmp/true
/tmp/true || echo nothing runs from /tmp
"""
"""Stands where the image has tritonserver: prints its options, and tries what it must not be able to do."""


@pytest.fixture
def service() -> dict[str, Any]:
    found: dict[str, Any] = read_compose()["services"]["triton"]
    return found


def start(service: dict[str, Any], tmp_path: Path, key_file: Path) -> subprocess.CompletedProcess[str]:
    server = tmp_path / "bin" / "tritonserver"
    server.parent.mkdir()
    server.write_text(SERVER, encoding="utf-8")
    server.chmod(0o755)
    secret = {key_file: f"/run/secrets/{service['secrets'][0]}"}
    image = {"PATH": "/opt/tritonserver/bin:/usr/bin", "TRITON_SERVER_VERSION": "2.71.0"}
    variables = [f"{name}={value}" for name, value in {**image, **service["environment"]}.items()]
    command = [
        *jail(service, {server.parent: "/opt/tritonserver/bin", **secret}),
        "env",
        *variables,
        *service["command"],
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_it_starts_with_what_it_is_given(service: dict[str, Any], tmp_path: Path, admin_key_file: Path) -> None:
    admin_key_file.chmod(0o644)
    done = start(service, tmp_path, admin_key_file)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:2] == ["start.sh: Triton 2.71.0 serves /models", "--model-repository=/models"]
    assert f"--cuda-memory-pool-byte-size=0:{read_env()['CUDA_POOL_BYTES']}" in lines
    assert sum(line.endswith(f":sightline-admin-key={ADMIN_KEY}") for line in lines) == 2
    assert read_env()["CONTAINER_UID"] in lines
    assert done.stderr.count("Read-only file system") == 2
    assert lines[-1] == "nothing runs from /tmp"


def test_a_secret_that_it_cannot_read_is_said(service: dict[str, Any], tmp_path: Path) -> None:
    key_file = tmp_path / "admin_key"
    key_file.write_text(ADMIN_KEY, encoding="utf-8")
    key_file.chmod(0o600)
    done = start(service, tmp_path, key_file)
    assert done.returncode == 1
    assert "the admin key /run/secrets/admin_key cannot be read by user 1000" in done.stderr
