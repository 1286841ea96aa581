"""deploy/perf/perf.py with the real perf_analyzer, against the server that the production script started."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import skip_or_fail
from tests.deploy.compose_file import CHECKOUT, read_compose
from tests.deploy.conftest import send_what_is_no_picture
from tests.deploy.triton_process import TritonProcess

from sightline.errors import MeasurementError
from sightline_bench.load.perf_analyzer import WHEEL, install

PERF = CHECKOUT / "deploy" / "perf" / "perf.py"
PICTURES = CHECKOUT / "export" / "sightline_export" / "demo" / "pictures"
QUICKLY = ["--seconds", "1", "--stability", "100000"]


@pytest.fixture(scope="session")
def perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which `perf_analyzer` runs."""
    try:
        made = install(tmp_path_factory.mktemp("perf_analyzer"))
    except MeasurementError as error:
        skip_or_fail(f"needs the wheel {WHEEL}: {error}")
        raise
    return {**made.variables, "PATH": f"{made.program.parent}{os.pathsep}{os.environ['PATH']}"}


def run_perf(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-B", str(PERF), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def addresses(triton: TritonProcess) -> list[str]:
    return ["--grpc", triton.grpc_url, "--http", triton.http_url, "--metrics", triton.metrics_url]


@pytest.mark.parametrize("batch", [1, 4])
def test_a_report_of_real_pictures(
    triton: TritonProcess, perf_analyzer: dict[str, str], tmp_path: Path, batch: int
) -> None:
    arguments = ["--pictures", str(PICTURES), "--results", str(tmp_path), "--concurrency", "2", "--batch", str(batch)]
    done = run_perf(perf_analyzer, *addresses(triton), *arguments, *QUICKLY)
    assert done.returncode == 0, done.stderr
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"perf-demo-\d{8}T\d{6}Z\.md", file.name)
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# demo on triton 2.51.0\n")
    (row,) = [line for line in text.splitlines() if line.startswith("| 2 |")]
    concurrency, images, p50, _, _, p99, steps, gpu, failed = [cell.strip() for cell in row.strip("|").split("|")]
    assert float(images) > 0
    assert 0 < float(p50) <= float(p99)
    sizes = {model: float(size) for model, size in re.findall(r"(\w+): ([\d.]+), [\d.]+ ms", steps)}
    assert set(sizes) == {"demo_net", "letterbox_640"}
    assert min(sizes.values()) >= batch
    assert (concurrency, gpu, failed) == ("2", "-", "0")


def test_a_request_that_fails_is_reported_once(triton: TritonProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(PERF.parent)
    server = importlib.import_module("triton_server")
    before = server.read_counts(triton.metrics_url)
    send_what_is_no_picture(triton)
    assert server.failed_requests(server.count_since(before, triton.metrics_url), "demo") == 1


def test_what_is_wrong_is_said(triton: TritonProcess, perf_analyzer: dict[str, str], tmp_path: Path) -> None:
    there = addresses(triton)
    pictures = ["--pictures", str(PICTURES)]
    nobody = ["--grpc", "127.0.0.1:9", "--http", "127.0.0.1:9", "--metrics", "127.0.0.1:9"]
    for arguments, message in [
        ([*there, "--pictures", str(tmp_path)], "holds no pictures"),
        ([*nobody, *pictures], "http://127.0.0.1:9/v2 does not answer"),
        ([*there, *pictures, *QUICKLY, "--model", "unheard_of"], "without a report"),
        ([*there, *pictures, "--concurrency", "0"], "0 is less than 1"),
    ]:
        done = run_perf(perf_analyzer, *arguments)
        assert done.returncode != 0
        assert message in done.stderr
        assert "Traceback" not in done.stderr
    without = {**perf_analyzer, "PATH": "/usr/bin:/bin"}
    assert "there is no perf_analyzer" in run_perf(without, *there, *pictures).stderr


def test_the_service_finds_what_the_script_looks_for() -> None:
    service = read_compose()["services"]["perf"]
    mounted = {volume["target"]: volume["source"] for volume in service["volumes"]}
    assert service["entrypoint"] == ["python3", "-B", "/opt/sightline/perf.py"]
    assert (CHECKOUT / mounted["/opt/sightline"] / "perf.py").samefile(PERF)
    assert (CHECKOUT / mounted["/pictures"]).samefile(PICTURES)
    assert mounted["/results"] == "./bench/results"
