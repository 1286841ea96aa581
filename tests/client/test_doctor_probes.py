"""What the probes make of recorded answers, and of real listeners."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sightline.contract import LOOPBACK_HOST
from sightline.doctor.docker import parse_docker_info
from sightline.doctor.facts import Docker, Space
from sightline.doctor.nvidia import has_nvidia_card, parse_cuda_version
from sightline.doctor.packages import CORE, parse_requirements
from sightline.doctor.ports import SOMEBODY, parse_listener, who_listens
from sightline.doctor.probe import limited, normal_architecture, parse_glibc, parse_meminfo, parse_os_release

REFUSED = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
COMPOSE = {
    "ClientInfo": {"Plugins": [{"Name": "buildx", "Version": "v0.17"}, {"Name": "compose", "Version": "v2.29.7"}]}
}


@pytest.mark.parametrize(
    ("machine", "name"),
    [("AMD64", "x86_64"), ("x86_64", "x86_64"), ("aarch64", "arm64"), ("arm64", "arm64"), ("riscv64", "riscv64")],
)
def test_architectures_have_one_name(machine: str, name: str) -> None:
    assert normal_architecture(machine) == name


@pytest.mark.parametrize(
    ("library", "version", "expected"),
    [("glibc", "2.36", (2, 36)), ("glibc", "2.9", (2, 9)), ("", "", None), ("musl", "1.2.4", None)],
)
def test_glibc(library: str, version: str, expected: tuple[int, int] | None) -> None:
    assert parse_glibc(library, version) == expected


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('NAME="Ubuntu"\nPRETTY_NAME="Ubuntu 22.04.4 LTS"\nID=ubuntu\n', "Ubuntu 22.04.4 LTS"),
        ("PRETTY_NAME='Alpine Linux v3.20'\n", "Alpine Linux v3.20"),
        ("ID=arch\n", ""),
    ],
)
def test_os_release(text: str, name: str) -> None:
    assert parse_os_release(text) == name


def test_meminfo() -> None:
    assert parse_meminfo("MemTotal:  2000 kB\nMemFree:  500 kB\nMemAvailable:  1500 kB\n") == Space(2048000, 1536000)
    assert parse_meminfo("") is None


def test_a_cgroup_limits_memory() -> None:
    machine = Space(8_000, 6_000)
    assert limited(machine, []) == machine
    assert limited(machine, [2_000, 9_223_372_036_854_771_712]) == Space(2_000, 2_000)
    assert limited(None, [2_000]) is None


def test_a_docker_with_everything() -> None:
    info = {"ServerVersion": "27.3.1", "Runtimes": {"runc": {}, "nvidia": {}}, **COMPOSE}
    assert parse_docker_info(json.dumps(info)) == Docker(
        engine_version="27.3.1", compose_version="v2.29.7", has_nvidia_runtime=True
    )


def test_a_docker_that_knows_gpus_as_devices() -> None:
    info = {"ServerVersion": "28.3", "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}]}
    assert parse_docker_info(json.dumps(info)).has_nvidia_runtime


def test_a_docker_command_without_engine() -> None:
    info = {"ServerVersion": "", "Runtimes": None, "ServerErrors": [REFUSED], "ClientInfo": {"Plugins": None}}
    assert parse_docker_info(json.dumps(info)) == Docker(failure=REFUSED)
    assert parse_docker_info('{"ServerVersion": ""}', REFUSED).failure == REFUSED
    assert (
        parse_docker_info("", "permission denied\n  while connecting").failure == "permission denied while connecting"
    )
    assert parse_docker_info("").failure


@pytest.mark.parametrize(("number", "version"), [(12080, (12, 8)), (13000, (13, 0)), (11040, (11, 4))])
def test_cuda_version(number: int, version: tuple[int, int]) -> None:
    assert parse_cuda_version(number) == version


def add_pci_device(bus: Path, slot: str, *, vendor: str, kind: str) -> None:
    (bus / slot).mkdir(parents=True)
    (bus / slot / "vendor").write_text(f"{vendor}\n")
    (bus / slot / "class").write_text(f"{kind}\n")


def test_only_an_nvidia_display_device_is_a_card(tmp_path: Path) -> None:
    assert not has_nvidia_card(tmp_path / "no-pci-bus")
    add_pci_device(tmp_path, "0000:00:02.0", vendor="0x8086", kind="0x030000")
    add_pci_device(tmp_path, "0000:01:00.1", vendor="0x10de", kind="0x040300")  # its sound device
    assert not has_nvidia_card(tmp_path)
    add_pci_device(tmp_path, "0000:01:00.0", vendor="0x10de", kind="0x030200")
    assert has_nvidia_card(tmp_path)


def test_requirements_by_extra() -> None:
    lines = [
        "click>=8.1",
        "tritonclient[grpc]>=2.51",
        "onnx>=1.17; extra == 'all'",
        "nvidia-pytriton==0.7.0; (sys_platform == 'linux' and platform_machine == 'x86_64') and extra == 'server'",
        'openvino>=2025.1 ; extra == "server"',
        "sightline[server]; extra == 'bench'",
    ]
    assert parse_requirements(lines) == {CORE: ("click", "tritonclient"), "server": ("nvidia-pytriton", "openvino")}


@pytest.mark.parametrize(
    ("metadata", "metrics", "name"),
    [
        (b'{"name":"triton","version":"2.51.0","extensions":[]}', b"404", "Triton 2.51.0"),
        (b"", b"# HELP nv_inference_request_success Number of\n", "Triton's metrics"),
        (b"<html>", b"", SOMEBODY),
        (b"[]", b"", SOMEBODY),
        (b'{"name": 3, "version": 4}', b"", SOMEBODY),
    ],
)
def test_listeners(metadata: bytes, metrics: bytes, name: str) -> None:
    assert parse_listener(metadata, metrics) == name


class Kserve(BaseHTTPRequestHandler):
    """Answers like any server of the same protocol."""

    def do_GET(self) -> None:
        known = self.path == "/v2"
        self.send_response(200 if known else 404)
        self.end_headers()
        self.wfile.write(b'{"name": "ovms", "version": "2026.1"}' if known else b"")

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test's output stays clean."""


@contextmanager
def http_server() -> Iterator[int]:
    with ThreadingHTTPServer((LOOPBACK_HOST, 0), Kserve) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_a_server_is_asked_who_it_is() -> None:
    with http_server() as port:
        assert who_listens(port) == "Ovms 2026.1"


def test_a_silent_listener_is_somebody_and_a_free_port_nobody() -> None:
    with socket.create_server((LOOPBACK_HOST, 0)) as listener:
        port = listener.getsockname()[1]
        assert who_listens(port) == SOMEBODY
    assert who_listens(port) == ""
