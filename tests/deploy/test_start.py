"""deploy/triton/start.sh: which options it chooses, what it refuses, and what the server that it becomes lets in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import tritonclient.grpc
from tests.deploy.compose_file import CHECKOUT, read_compose, read_env
from tests.deploy.conftest import ADMIN_KEY
from tests.deploy.triton_process import ADMIN_HEADER, EMBEDDED_VERSION, START, TritonProcess
from tritonclient.utils import InferenceServerException

from sightline.served import list_served
from sightline_server.locate import locate_triton

TABLE = START.parent / "flags.txt"
PLAN_CHECK = CHECKOUT / "export" / "sightline_export" / "tensorrt" / "manifest.py"
GRPC_HEADER = f"triton-grpc-protocol-{ADMIN_HEADER}"
PRINTER = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"


def rows_of(table: Path) -> list[list[str]]:
    """The cells of each line that is no comment."""
    lines = [line for line in table.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


ROWS = rows_of(TABLE)
CONTAINERS = {row[0]: row[1] for row in rows_of(START.parent / "versions.txt")}
"""Version of Triton in each of NVIDIA's containers."""


@pytest.fixture
def printer(tmp_path: Path) -> Path:
    """A folder with a `tritonserver` that prints its arguments, one a line."""
    program = tmp_path / "bin" / "tritonserver"
    program.parent.mkdir()
    program.write_text(PRINTER, encoding="utf-8")
    program.chmod(0o755)
    return program.parent


def start(printer: Path, version: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        **read_env(),
        "PATH": f"{printer}{os.pathsep}{os.environ['PATH']}",
        "TRITON_SERVER_VERSION": version,
        "MODEL_REPOSITORY": str(CHECKOUT / "model_repository"),
        "ADMIN_KEY_FILE": "",
        **settings,
    }
    return subprocess.run([START], env=environment, capture_output=True, text=True, timeout=60, check=False)


def options_of(printer: Path, version: str, **settings: str) -> list[str]:
    done = start(printer, version, **settings)
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if line.startswith("--")]


def name_of(option: str) -> str:
    return option.partition("=")[0]


def embedded_options() -> set[str]:
    """Every option that the embedded version knows, from its own help."""
    files = locate_triton()
    libraries = f"{files.libpython.parent}{os.pathsep}{files.libraries}"
    environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
    printed = subprocess.run([files.binary, "--help"], env=environment, capture_output=True, text=True, check=False)
    return set(re.findall(r"^\s*(--[a-z0-9-]+)", printed.stdout + printed.stderr, re.MULTILINE))


def test_every_row_of_the_table_is_whole() -> None:
    assert len(ROWS) > 20
    for row in ROWS:
        since, until, when, option, why = row
        assert re.fullmatch(r"\d+\.\d+", since)
        assert until == "-" or re.fullmatch(r"\d+\.\d+", until)
        assert when in ("always", "tracing")
        assert option.startswith("--")
        assert why.endswith(".")


def test_the_embedded_server_knows_just_the_options_that_the_table_says_it_does() -> None:
    known = embedded_options()
    assert len(known) > 50
    oldest = tuple(map(int, EMBEDDED_VERSION.split(".")[:2]))
    for since, _, _, option, _ in ROWS:
        assert (name_of(option) in known) == (tuple(map(int, since.split("."))) <= oldest), option


def test_the_version_decides_which_options_there_are(printer: Path) -> None:
    def newer_than_the_embedded(version: str) -> set[str]:
        return {name_of(option) for option in options_of(printer, version)} - embedded_options()

    assert newer_than_the_embedded("2.51.0") == set()
    assert newer_than_the_embedded("2.59.0") == {"--http-max-input-size"}
    assert newer_than_the_embedded("2.67.0") == {"--http-max-input-size"}
    assert newer_than_the_embedded("2.68.0") == {"--http-max-input-size", "--allow-client-shm"}


def test_the_table_of_versions_is_whole_and_rises() -> None:
    rows = rows_of(START.parent / "versions.txt")
    assert all(len(row) == 6 and all(row) for row in rows)
    for column in range(3):
        numbers = [[int(part) for part in row[column].split(".")] for row in rows]
        assert numbers == sorted(numbers)


def test_the_container_of_the_settings_gets_every_option(printer: Path) -> None:
    version = CONTAINERS[read_env()["TRITON_VERSION"]]
    chosen = {name_of(option) for option in options_of(printer, version, TRACE_RATE="100")}
    assert chosen == {name_of(row[3]) for row in ROWS}


def test_values_come_from_the_settings(printer: Path) -> None:
    settings = read_env()
    chosen = options_of(printer, "2.71.0")
    assert f"--http-max-input-size={settings['HTTP_MAX_INPUT_BYTES']}" in chosen
    assert f"--pinned-memory-pool-byte-size={settings['PINNED_POOL_BYTES']}" in chosen
    pools = [option.partition("=")[2] for option in chosen if name_of(option) == "--cuda-memory-pool-byte-size"]
    assert pools == [f"{gpu}:{settings['CUDA_POOL_BYTES']}" for gpu in range(16)]
    assert not [option for option in chosen if "{" in option]


def test_tracing_is_off_unless_a_rate_is_given(printer: Path) -> None:
    assert not [option for option in options_of(printer, "2.71.0") if "trace" in name_of(option)]
    assert "--trace-config=rate=250" in options_of(printer, "2.71.0", TRACE_RATE="250")


def test_without_a_secret_the_key_is_one_that_nobody_knows(printer: Path) -> None:
    def keys() -> set[str]:
        return {option.rpartition("=")[2] for option in options_of(printer, "2.71.0") if ADMIN_HEADER in option}

    first, second = keys(), keys()
    assert len(first) == len(second) == 1
    assert first != second
    assert re.fullmatch(r"[0-9a-f]{64}", first.pop())


def test_what_shuts_the_admin_protocols_leaves_the_models_configuration_open(printer: Path) -> None:
    restricted = [option for option in options_of(printer, "2.71.0") if ADMIN_HEADER in option]
    assert [name_of(option) for option in restricted] == ["--http-restricted-api", "--grpc-restricted-protocol"]
    for option in restricted:
        assert option.partition("=")[2].partition(":")[0] == "model-repository,shared-memory,trace,logging"


@pytest.mark.parametrize(
    ("version", "settings", "message"),
    [
        ("2.50.0", {}, "older than 2.51"),
        ("latest", {}, "no version of Triton"),
        ("", {}, "TRITON_SERVER_VERSION is not set"),
        ("2.71.0", {"CUDA_POOL_BYTES": "256m"}, "CUDA_POOL_BYTES is '256m'; it must be a whole number"),
        ("2.71.0", {"TRACE_RATE": ""}, "TRACE_RATE is ''"),
        ("2.71.0", {"MODEL_REPOSITORY": "/nowhere"}, "/nowhere holds no model"),
        ("2.71.0", {"ADMIN_KEY_FILE": "/nowhere/key"}, "/nowhere/key cannot be read"),
    ],
)
def test_what_is_wrong_is_said_before_the_server_starts(
    printer: Path, version: str, settings: dict[str, str], message: str
) -> None:
    done = start(printer, version, **settings)
    assert done.returncode == 1
    assert message in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("key", ["short", "sixteen letters and spaces", "0123456789abcdef'--id=x"])
def test_a_weak_or_odd_key_is_refused_and_not_shown(printer: Path, tmp_path: Path, key: str) -> None:
    file = tmp_path / "key"
    file.write_text(key, encoding="utf-8")
    done = start(printer, "2.71.0", ADMIN_KEY_FILE=str(file))
    assert done.returncode == 1
    assert "must have 16 characters or more" in done.stderr
    assert key not in done.stdout + done.stderr


def test_a_plan_that_does_not_fit_keeps_the_server_from_starting(printer: Path, tmp_path: Path) -> None:
    check = tmp_path / "check.py"
    check.write_text("import sys; sys.exit(' '.join(['unfit:', *sys.argv[1:]]))\n", encoding="utf-8")
    done = start(printer, "2.71.0", PLAN_CHECK=str(check))
    assert done.returncode == 1
    assert done.stderr.startswith(f"unfit: {CHECKOUT / 'model_repository'} --rebuild docker compose run --rm export")
    assert not done.stdout


def test_the_plan_check_lets_a_repository_without_plans_pass(printer: Path) -> None:
    assert options_of(printer, "2.71.0", PLAN_CHECK=str(PLAN_CHECK))


def test_a_line_of_the_table_that_nobody_understands_is_an_error(printer: Path, tmp_path: Path) -> None:
    table = tmp_path / "flags.txt"
    for row, message in [
        ("2.51 | - | sometimes | --x=1 | A reason.", "'sometimes' is not one of"),
        ("2.51 | - | always | --x={unheard_of} | A reason.", "a value of '--x={unheard_of}' is not known"),
        ("2.51 | - | always | --x=1 |", "a line without option or reason"),
        ("new | - | always | --x=1 | A reason.", "'new' is no version of Triton"),
    ]:
        table.write_text(f"{row}\n", encoding="utf-8")
        done = start(printer, "2.71.0", FLAGS_TABLE=str(table))
        assert done.returncode == 1
        assert message in done.stderr


def test_an_option_ends_with_its_last_version(printer: Path, tmp_path: Path) -> None:
    table = tmp_path / "flags.txt"
    table.write_text("2.51 | 2.67 | always | --gone=1 | A reason.\n", encoding="utf-8")
    assert options_of(printer, "2.67.2", FLAGS_TABLE=str(table)) == ["--gone=1"]
    assert options_of(printer, "2.68.0", FLAGS_TABLE=str(table)) == []


# --- the server that it becomes -----------------------------------------------------------------------------------
def test_it_becomes_tritonserver_itself(triton: TritonProcess) -> None:
    assert Path(f"/proc/{triton.process.pid}/exe").resolve() == locate_triton().binary


def test_every_model_is_loaded_and_ready(triton: TritonProcess) -> None:
    with tritonclient.grpc.InferenceServerClient(triton.grpc_url) as client:
        assert all(client.is_model_ready(name) for name in ("demo", "demo_net", "letterbox_640"))


@pytest.mark.parametrize("name", ["triton", "cpu"])
def test_the_health_check_tells_what_is_ready_from_what_is_not(triton: TritonProcess, name: str) -> None:
    program, *arguments = read_compose()["services"][name]["healthcheck"]["test"][1:]

    def is_healthy(path: str) -> bool:
        there = [part.replace("127.0.0.1:8000/v2/health/ready", f"{triton.http_url}{path}") for part in arguments]
        command = [sys.executable if program == "python" else program, *there]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0

    assert is_healthy("/v2/health/ready")
    # Triton answers 400 where something is not ready.
    assert triton.ask("/v2/models/demo/versions/9/ready").status == 400
    assert not is_healthy("/v2/models/demo/versions/9/ready")


def test_what_is_served_can_be_listed_without_the_key(triton: TritonProcess) -> None:
    client = tritonclient.grpc.InferenceServerClient(triton.grpc_url)
    with client, pytest.raises(InferenceServerException, match="restricted"):
        client.get_model_repository_index()
    (demo,) = list_served(triton.grpc_url)
    assert (demo.name, demo.ready, demo.reason, demo.backend) == ("demo", True, "", "onnxruntime")
    assert demo.detector is not None


def test_the_admin_key_is_not_in_the_log(triton: TritonProcess) -> None:
    assert "start.sh: Triton" in triton.log
    assert ADMIN_KEY not in triton.log


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/demo/load"),
        ("POST", "/v2/repository/models/demo/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/trace/setting"),
        ("GET", "/v2/logging"),
    ],
)
def test_over_http_the_admin_protocols_need_the_key(triton: TritonProcess, method: str, path: str) -> None:
    assert triton.ask(path, method=method).status == 403
    assert triton.ask(path, method=method, key=f"{ADMIN_KEY}x").status == 403
    if not path.endswith("unload"):
        assert triton.ask(path, method=method, key=ADMIN_KEY).status == 200


def test_over_http_the_rest_is_open(triton: TritonProcess) -> None:
    for path in ("/v2/health/ready", "/v2/models/demo", "/v2/models/demo/config", "/v2/models/stats"):
        assert triton.ask(path).status == 200


def test_over_grpc_the_admin_protocols_need_the_key(triton: TritonProcess) -> None:
    with tritonclient.grpc.InferenceServerClient(triton.grpc_url) as client:
        for headers in (None, {GRPC_HEADER: "wrong"}, {ADMIN_HEADER: ADMIN_KEY}):
            for call in (client.load_model, client.unload_model):
                with pytest.raises(InferenceServerException, match="restricted, expecting header"):
                    call("demo", headers=headers)
        with pytest.raises(InferenceServerException, match="restricted, expecting header"):
            client.register_system_shared_memory("region", "/region", 64)
        client.load_model("demo", headers={GRPC_HEADER: ADMIN_KEY})
        assert client.is_model_ready("demo")


def test_the_metrics_have_the_quantiles_that_the_dashboard_shows(triton: TritonProcess) -> None:
    with urllib.request.urlopen(f"http://{triton.metrics_url}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    for quantile in ("0.5", "0.95", "0.99"):
        assert f'nv_inference_request_summary_us{{model="demo",version="1",quantile="{quantile}"}}' in text
