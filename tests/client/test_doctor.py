"""What the doctor says about machines of every kind; their facts are plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from sightline.doctor import Check, diagnose, judge
from sightline.doctor.facts import Cpu, Docker, Gpu, Machine, NvidiaDriver, Port, Space
from sightline.doctor.packages import CORE

EXTRAS = {CORE: ("numpy", "tritonclient"), "export": ("torch", "onnx"), "server": ("nvidia-pytriton", "openvino")}
INSTALLED: Mapping[str, str | None] = {"sightline": "0.1.0"} | dict.fromkeys(
    (name for group in EXTRAS.values() for name in group), "1.0"
)
WORKSTATION = Machine(
    system="Linux",
    system_name="Ubuntu 24.04 LTS",
    architecture="x86_64",
    python_version=(3, 12, 3),
    python_path=Path("/home/ada/sightline/.venv/bin/python"),
    glibc_version=(2, 39),
    libpython=Path("/usr/lib/x86_64-linux-gnu/libpython3.12.so.1.0"),
    cpu=Cpu(
        model="AMD EPYC 9654", features=frozenset({"avx2", "avx512f", "avx512_bf16"}), usable_cores=16, machine_cores=96
    ),
    memory=Space(64_000_000_000, 60_000_000_000),
    shared_memory=Space(32_000_000_000, 32_000_000_000),
    disk=Space(900_000_000_000, 500_000_000_000),
    open_file_limit=4096,
    driver=NvidiaDriver(version="580.65", cuda_version=(13, 0), gpus=(Gpu("NVIDIA L4", 24_000_000_000, (8, 9)),)),
    has_nvidia_card=True,
    docker=Docker(engine_version="27.3", compose_version="v2.29", has_nvidia_runtime=True),
    ports=(Port(8000, "HTTP"), Port(8001, "gRPC"), Port(8002, "metrics")),
    packages=INSTALLED,
    extras=EXTRAS,
    models=("demo", "demo_net", "letterbox_640"),
)
LAPTOP = replace(WORKSTATION, driver=None, has_nvidia_card=False, docker=None)
MACBOOK = replace(
    LAPTOP,
    system="Darwin",
    system_name="macOS 15.1",
    architecture="arm64",
    glibc_version=None,
    libpython=None,
    cpu=Cpu(model="Apple M3", usable_cores=8, machine_cores=8),
    memory=None,
    shared_memory=None,
)
WINDOWS_PC = replace(
    LAPTOP,
    system="Windows",
    system_name="Windows 11",
    glibc_version=None,
    libpython=None,
    cpu=Cpu(model="Intel64 Family 6", usable_cores=8, machine_cores=8),
    memory=None,
    shared_memory=None,
    open_file_limit=None,
)
GRAVITON = replace(LAPTOP, architecture="arm64", cpu=Cpu(features=frozenset({"asimd", "bf16"}), usable_cores=4))
EMBEDDED, EXPORT, DOCKER = "embedded server", "export", "Docker with GPU"


def working(machine: Machine) -> set[str]:
    return {way.name for way in judge(machine).ways if way.works}


def lacks(machine: Machine, name: str) -> dict[str, str]:
    way = next(way for way in judge(machine).ways if way.name == name)
    return {lack.what: lack.command for lack in way.lacks}


def check(machine: Machine, name: str) -> Check:
    return next(check for check in judge(machine).checks if check.name == name)


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (WORKSTATION, {"client", EMBEDDED, EXPORT, DOCKER}),
        (LAPTOP, {"client", EMBEDDED, EXPORT}),
        (MACBOOK, {"client", EXPORT}),
        (WINDOWS_PC, {"client", EXPORT}),
        (GRAVITON, {"client", EXPORT}),
    ],
    ids=["workstation", "laptop", "macbook", "windows", "graviton"],
)
def test_what_works_where(machine: Machine, expected: set[str]) -> None:
    assert working(machine) == expected
    assert judge(machine).anything_works


def test_a_good_machine_has_nothing_to_complain_about() -> None:
    assert {check.status for check in judge(WORKSTATION).checks} == {"ok"}


def test_no_gpu_is_no_complaint() -> None:
    assert check(LAPTOP, "GPU").status == "info"
    assert list(lacks(LAPTOP, DOCKER)) == ["an NVIDIA GPU"]


def test_elsewhere_the_server_says_in_one_line_what_it_needs() -> None:
    for machine in (MACBOOK, WINDOWS_PC, GRAVITON):
        assert list(lacks(machine, EMBEDDED)) == ["Linux on x86-64"]
        assert check(machine, "system").status == "info"
        assert "[server]" not in {check.name for check in judge(machine).checks}


@pytest.mark.parametrize("version", [None, (2, 31)], ids=["musl", "old"])
def test_an_old_or_other_c_library_rules_out_the_server_only(version: tuple[int, int] | None) -> None:
    machine = replace(LAPTOP, glibc_version=version)
    assert working(machine) == {"client", EXPORT}
    assert check(machine, "glibc").status == "warn"
    assert "glibc 2.35 or newer" in lacks(machine, EMBEDDED)


def test_the_oldest_glibc_that_works() -> None:
    assert EMBEDDED in working(replace(LAPTOP, glibc_version=(2, 35)))
    assert EMBEDDED not in working(replace(LAPTOP, glibc_version=(2, 34)))


def test_a_python_without_library_names_its_package() -> None:
    machine = replace(LAPTOP, libpython=None)
    assert "libpython3.12" in lacks(machine, EMBEDDED)["this Python's shared library"]
    assert check(machine, "libpython").status == "warn"


@pytest.mark.parametrize("version", [(3, 9, 2), (3, 14, 0)])
def test_another_python_works_nowhere_but_in_docker(version: tuple[int, int, int]) -> None:
    assert working(replace(WORKSTATION, python_version=version)) == {DOCKER}
    diagnosis = judge(replace(LAPTOP, python_version=version))
    assert not diagnosis.anything_works
    assert "fail" in {check.status for check in diagnosis.checks}


def test_missing_packages_are_named_with_the_command() -> None:
    machine = replace(LAPTOP, packages={**INSTALLED, "torch": None, "nvidia-pytriton": None})
    assert lacks(machine, EXPORT) == {"torch": "make install   (in the checkout)"}
    assert "nvidia-pytriton" in lacks(machine, EMBEDDED)
    assert check(machine, "[export]").status == "info"
    assert working(machine) == {"client"}


def test_onnx_runtime_for_gpus_takes_the_place_of_the_other() -> None:
    extras = {**EXTRAS, "server": ("onnxruntime",), "gpu": ("onnxruntime-gpu",)}
    plain: Mapping[str, str | None] = {**INSTALLED, "onnxruntime": "1.31.1", "onnxruntime-gpu": None}
    for_gpus: Mapping[str, str | None] = {**plain, "onnxruntime": None, "onnxruntime-gpu": "1.31.1"}
    without = replace(WORKSTATION, extras=extras, packages=plain)
    assert check(without, "[gpu]").status == "info"
    assert check(without, "[gpu]").advice.startswith("make install-gpu")
    assert EMBEDDED in working(without)
    having = replace(WORKSTATION, extras=extras, packages=for_gpus)
    assert check(having, "[gpu]") == Check("[gpu]", "ok", "onnxruntime-gpu 1.31.1")
    assert check(having, "[server]") == Check("[server]", "ok", "onnxruntime-gpu 1.31.1")
    assert EMBEDDED in working(having)
    assert "[gpu]" not in {check.name for check in judge(replace(LAPTOP, extras=extras, packages=plain)).checks}


def test_a_missing_core_package_fails() -> None:
    machine = replace(LAPTOP, packages={**INSTALLED, "tritonclient": None})
    assert check(machine, CORE).status == "fail"
    assert working(machine) == set()


@pytest.mark.parametrize(
    ("features", "status", "word"),
    [
        ({"avx2", "avx512f", "avx512_bf16"}, "ok", "--precision bf16"),
        ({"avx2", "avx512f", "avx512_vnni"}, "info", "--precision fp32"),
        ({"avx2"}, "info", "--precision fp32"),
        ({"sse4_2"}, "warn", "without AVX2"),
    ],
)
def test_which_precision_pays(features: set[str], status: str, word: str) -> None:
    machine = replace(LAPTOP, cpu=replace(LAPTOP.cpu, features=frozenset(features)))
    assert check(machine, "CPU features").status == status
    assert word in check(machine, "CPU features").advice


def test_tight_spaces_are_warned_about_with_the_way_out() -> None:
    machine = replace(
        LAPTOP,
        cpu=replace(LAPTOP.cpu, usable_cores=0.5),
        memory=Space(1_000_000_000, 900_000_000),
        shared_memory=Space(64_000_000, 64_000_000),
        disk=Space(9_000_000_000, 8_000_000_000),
        open_file_limit=256,
    )
    for name in ("CPU", "memory", "/dev/shm", "disk", "open files"):
        assert check(machine, name).status == "warn", name
        assert check(machine, name).advice
    assert "shm-size" in check(machine, "/dev/shm").advice
    assert check(machine, "CPU").detail.endswith("0.5 of 96 cores")


def test_unlimited_open_files_are_enough() -> None:
    assert check(replace(LAPTOP, open_file_limit=-1), "open files") == Check("open files", "ok", "unlimited")


def test_a_card_without_driver_is_seen() -> None:
    machine = replace(WORKSTATION, driver=None)
    assert check(machine, "GPU").status == "warn"
    assert list(lacks(machine, DOCKER)) == ["the NVIDIA driver"]


def test_an_old_driver_is_warned_about() -> None:
    assert WORKSTATION.driver is not None
    machine = replace(WORKSTATION, driver=replace(WORKSTATION.driver, cuda_version=(12, 4)))
    assert check(machine, "NVIDIA driver").status == "warn"


@pytest.mark.parametrize(
    ("docker", "missing"),
    [
        (None, ["Docker", "the NVIDIA container toolkit"]),
        (Docker(failure="Cannot connect"), ["a Docker engine that answers"]),
        (Docker(engine_version="27"), ["Docker compose", "the NVIDIA container toolkit"]),
        (Docker(engine_version="27", compose_version="2"), ["the NVIDIA container toolkit"]),
    ],
)
def test_what_docker_lacks(docker: Docker | None, missing: list[str]) -> None:
    machine = replace(WORKSTATION, docker=docker)
    assert list(lacks(machine, DOCKER)) == missing


def test_a_docker_that_we_may_not_use() -> None:
    machine = replace(WORKSTATION, docker=Docker(failure="permission denied while trying to connect"))
    assert "usermod" in lacks(machine, DOCKER)["a Docker engine that answers"]


def test_ports_that_others_hold() -> None:
    machine = replace(LAPTOP, ports=(Port(8000, "HTTP", "Triton 2.51.0"), Port(8001, "gRPC", "something")))
    assert check(machine, "port 8000 (HTTP)").status == "info"
    assert check(machine, "port 8001 (gRPC)").status == "warn"
    assert "--grpc-port 0" in check(machine, "port 8001 (gRPC)").advice


def test_models_that_are_there_or_not() -> None:
    assert check(LAPTOP, "model repository").status == "ok"
    assert check(replace(LAPTOP, models=()), "model repository").status == "warn"
    assert check(replace(LAPTOP, models=None), "model repository").status == "info"


def test_this_machine(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.pbtxt").touch()
    diagnosis = diagnose(repository=tmp_path)
    assert next(way for way in diagnosis.ways if way.name == "client").works
    assert "mine" in next(check.detail for check in diagnosis.checks if check.name == "model repository")
    assert "fail" not in {check.status for check in diagnosis.checks}
