"""docker-compose.yml keeps its promises: its schema, and every setting that an operator would ask for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.deploy.compose_file import (
    CHECKOUT,
    COMPOSE_FILE,
    ENV_FILE,
    interpolate,
    read_compose,
    read_env,
    services_of,
    tracked,
)

from sightline.contract import DEFAULT_GRPC_PORT, DEFAULT_HTTP_PORT, DEFAULT_METRICS_PORT
from sightline_server.options import STOP_TIMEOUT_SECONDS

COMPOSE = read_compose()
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
STARTED_BY = {
    "gpu": {"triton"},
    "cpu": {"cpu"},
    "tensorrt": {"export"},
    "proxy": {"proxy"},
    "monitoring": {"prometheus", "grafana"},
    "tracing": {"tracing"},
    "perf": {"perf"},
}
ONE_SHOT = {"export", "perf"}
ON_A_GPU = {"triton", "export"}
MADE_BY_USERS = {"./deploy/proxy/private"}
WRITTEN_TO = {"/plans", "/results"}
"""Targets of folders of the host that a service may write to."""
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def seconds(text: str) -> int:
    """A duration such as 1m15s."""
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"(\d+)([smh])", text))


def validate(*files: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def mandatory(service: dict[str, Any]) -> set[str]:
    """Services without which this one does not start."""
    needed = service.get("depends_on", {})
    if isinstance(needed, list):
        return set(needed)
    return {name for name, how in needed.items() if how.get("required", True)}


def binds(service: dict[str, Any]) -> list[dict[str, Any]]:
    return [volume for volume in service.get("volumes", []) if isinstance(volume, dict) and volume["type"] == "bind"]


# --- the file as a whole ----------------------------------------------------------------------------------------
def test_the_file_is_valid_as_it_stands_and_in_every_profile(tmp_path: Path) -> None:
    files = [COMPOSE_FILE]
    for profiles in [*STARTED_BY, "gpu,tensorrt", "gpu,proxy,monitoring,tracing"]:
        chosen = services_of(COMPOSE, *profiles.split(","))
        files.append(tmp_path / f"{profiles}.yml")
        files[-1].write_text(yaml.safe_dump({**COMPOSE, "services": chosen}), encoding="utf-8")
        assert all(mandatory(service) <= set(chosen) for service in chosen.values()), profiles
    done = validate(*files)
    assert done.returncode == 0, done.stdout


def test_the_schema_is_one_that_can_fail(tmp_path: Path) -> None:
    file = tmp_path / "docker-compose.yml"
    file.write_text(COMPOSE_FILE.read_text(encoding="utf-8").replace("cap_drop:", "capdrop:"), encoding="utf-8")
    assert validate(file).returncode != 0


@pytest.mark.parametrize("profile", STARTED_BY)
def test_a_profile_starts_its_services(profile: str) -> None:
    assert set(services_of(COMPOSE, profile)) == STARTED_BY[profile]


def test_every_service_has_one_profile() -> None:
    assert {name: service["profiles"] for name, service in SERVICES.items()} == {
        name: [profile] for profile, names in STARTED_BY.items() for name in names
    }


def test_a_bare_up_serves_the_committed_models_on_a_gpu() -> None:
    settings = read_env()
    assert set(services_of(COMPOSE, *settings["COMPOSE_PROFILES"].split(","))) == {"triton"}
    models = next(volume for volume in binds(SERVICES["triton"]) if volume["target"] == "/models")
    assert models["source"] == settings["MODEL_REPOSITORY"] == "./model_repository"


def test_every_setting_stands_in_the_settings_and_every_one_of_them_is_used() -> None:
    used = set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_FILE.read_text(encoding="utf-8")))
    assert used == set(read_env()) - {"COMPOSE_PROFILES"}


def test_a_setting_without_which_nothing_works_is_asked_for() -> None:
    settings = read_env()
    del settings["TRITON_VERSION"]
    with pytest.raises(KeyError, match="TRITON_VERSION"):
        interpolate(COMPOSE_FILE.read_text(encoding="utf-8"), settings)


def test_every_setting_is_explained() -> None:
    blocks = ENV_FILE.read_text(encoding="utf-8").split("\n\n")
    assert all("#" in block for block in blocks)


# --- images -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SERVICES)
def test_every_image_has_its_tag_from_the_settings(name: str) -> None:
    written = yaml.safe_load(COMPOSE_FILE.read_text(encoding="utf-8"))["services"][name]["image"]
    assert re.fullmatch(r"[a-z0-9./-]+:(py[a-z]+)?\$\{[A-Z]+_VERSION:\?\}[a-z0-9-]*", written)
    assert not SERVICES[name]["image"].endswith((":latest", ":"))


def test_triton_is_new_enough() -> None:
    year, month = map(int, read_env()["TRITON_VERSION"].split("."))
    assert (year, month) >= (26, 3)


@pytest.mark.parametrize("name", sorted(name for name, service in SERVICES.items() if "build" in service))
def test_an_image_of_this_checkout_is_never_an_old_one_or_a_strangers(name: str) -> None:
    # Otherwise compose looks for it in the registry first, and keeps what it once built whatever changes here.
    assert SERVICES[name]["pull_policy"] == "build"


# --- what no service may do -------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert re.fullmatch(r"[1-9]\d*:\d+", service["user"])
    assert not service.keys() & {"privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"}


@pytest.mark.parametrize("name", SERVICES)
def test_temporary_files_are_bounded_and_cannot_be_run(name: str) -> None:
    for mount in SERVICES[name].get("tmpfs", []):
        options = mount.partition(":")[2].split(",")
        assert any(re.fullmatch(r"size=\d+[mg]", option) for option in options)
        assert {"nosuid", "nodev"} <= set(options)
        # The embedded server puts its backends together in a temporary folder, and runs them from there.
        assert ("exec" if name == "cpu" else "noexec") in options


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_on_loopback(name: str) -> None:
    for port in SERVICES[name].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_others_are_let_in_through_the_proxy_only() -> None:
    everywhere = read_compose(PROXY_ADDRESS="0.0.0.0")["services"]
    open_to_others = {
        name
        for name, service in everywhere.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    assert open_to_others == {"proxy"}


@pytest.mark.parametrize("name", SERVICES)
def test_folders_of_the_host_are_in_a_fresh_clone_and_read_only(name: str) -> None:
    for volume in binds(SERVICES[name]):
        assert volume["bind"]["create_host_path"] is False
        assert tracked(volume["source"]) or volume["source"] in MADE_BY_USERS
        assert volume.get("read_only", False) is (volume["target"] not in WRITTEN_TO)


@pytest.mark.parametrize("name", SERVICES)
def test_other_volumes_and_networks_are_declared(name: str) -> None:
    service = SERVICES[name]
    named = [volume for volume in service.get("volumes", []) if isinstance(volume, str)]
    assert {volume.split(":")[0] for volume in named} <= set(COMPOSE["volumes"])
    assert service["networks"]
    assert set(service["networks"]) <= set(COMPOSE["networks"])


def test_what_cuda_keeps_leaves_room_for_triton_in_its_temporary_folder() -> None:
    (mount,) = SERVICES["triton"]["tmpfs"]
    (mib,) = re.findall(r"size=(\d+)m", mount)
    assert SERVICES["triton"]["environment"]["HOME"] == mount.partition(":")[0]
    assert int(SERVICES["triton"]["environment"]["CUDA_CACHE_MAXSIZE"]) <= int(mib) * 2**20 / 2


# --- how services live ------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", SERVICES)
def test_a_service_comes_back_unless_it_is_done(name: str) -> None:
    assert SERVICES[name]["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")


@pytest.mark.parametrize("name", SERVICES)
def test_logs_are_rotated(name: str) -> None:
    logging = SERVICES[name]["logging"]
    assert logging["driver"] == "json-file"
    assert re.fullmatch(r"\d+m", logging["options"]["max-size"])
    assert int(logging["options"]["max-file"]) > 1


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONE_SHOT - {"tracing"}))
def test_health_is_checked(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert seconds(check["timeout"]) <= seconds(check["interval"])
    assert "start_period" in check


@pytest.mark.parametrize("name", SERVICES)
def test_a_gpu_is_reserved_where_one_is_used(name: str) -> None:
    devices = SERVICES[name].get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
    expected = [{"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}]
    assert devices == (expected if name in ON_A_GPU else [])


# --- triton -----------------------------------------------------------------------------------------------------
def test_triton_is_healthy_once_every_model_is_ready() -> None:
    assert SERVICES["triton"]["healthcheck"]["test"][-1] == "http://127.0.0.1:8000/v2/health/ready"


def test_triton_and_the_embedded_server_have_the_ports_that_clients_expect() -> None:
    expected = [DEFAULT_HTTP_PORT, DEFAULT_GRPC_PORT, DEFAULT_METRICS_PORT]
    for name in ("triton", "cpu"):
        assert SERVICES[name]["ports"] == [f"127.0.0.1:{port}:{port}" for port in expected]


def test_docker_waits_longer_than_triton_and_triton_as_long_as_a_client() -> None:
    from sightline._options import DEFAULT_TIMEOUT_SECONDS

    start = (CHECKOUT / "deploy" / "triton" / "start.sh").read_text(encoding="utf-8")
    exit_timeout = int(re.findall(r"\[exit_timeout_seconds\]=(\d+)", start)[0])
    assert exit_timeout == DEFAULT_TIMEOUT_SECONDS
    assert seconds(SERVICES["triton"]["stop_grace_period"]) > exit_timeout
    assert seconds(SERVICES["cpu"]["stop_grace_period"]) > STOP_TIMEOUT_SECONDS


def test_triton_waits_for_its_plans_where_they_are_built() -> None:
    assert SERVICES["triton"]["depends_on"] == {
        "export": {"condition": "service_completed_successfully", "required": False}
    }


def test_triton_gets_what_its_start_script_asks_for() -> None:
    start = (CHECKOUT / "deploy" / "triton" / "start.sh").read_text(encoding="utf-8")
    given = SERVICES["triton"]["environment"]
    assert set(re.findall(r"whole_number ([A-Z_]+)", start)) <= set(given)
    assert int(SERVICES["triton"]["shm_size"]) == int(read_env()["SHARED_MEMORY_BYTES"])


def test_the_admin_key_comes_from_a_secret_and_there_is_none_in_the_checkout() -> None:
    file = CHECKOUT / read_env()["ADMIN_KEY_FILE"]
    assert COMPOSE["secrets"]["admin_key"]["file"] == read_env()["ADMIN_KEY_FILE"]
    assert file.read_bytes() == b""
    assert SERVICES["triton"]["secrets"] == ["admin_key"]
    assert SERVICES["triton"]["environment"]["ADMIN_KEY_FILE"] == "/run/secrets/admin_key"
    assert not [name for name, service in SERVICES.items() if service.get("secrets") and name != "triton"]


def test_what_starts_triton_can_be_executed() -> None:
    (program,) = SERVICES["triton"]["command"]
    folder = next(volume for volume in binds(SERVICES["triton"]) if program.startswith(f"{volume['target']}/"))
    file = CHECKOUT / folder["source"] / Path(program).relative_to(folder["target"])
    assert file.stat().st_mode & 0o111 == 0o111
    assert file.read_text(encoding="utf-8").startswith("#!/")


def test_triton_checks_plans_with_the_file_that_is_mounted() -> None:
    start = (CHECKOUT / "deploy" / "triton" / "start.sh").read_text(encoding="utf-8")
    (target,) = re.findall(r"PLAN_CHECK:-([^}]+)}", start)
    assert target in {volume["target"] for volume in binds(SERVICES["triton"])}


@pytest.mark.parametrize("script", sorted((CHECKOUT / "deploy").rglob("*.sh")), ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
