"""`bench/gpu.sh` on machines without a GPU: what it says, and the whole harness with the processor in its place."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tests.conftest import CHECKOUT

from sightline.contract import network_name
from sightline_bench.gpu import absence, survey
from sightline_bench.gpu.command import command
from sightline_bench.gpu.material import Sources, make_material, pack, unpack
from sightline_bench.gpu.outcome import REHEARSAL
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.results import read_results
from sightline_export.config import CONFIG_FILE, parse
from sightline_server.gpu import CANNOT_SHARE, Gpus

REPOSITORY = CHECKOUT / "model_repository"
SMALL = [
    *("--device", "cpu", "--repository", str(REPOSITORY), "--models", "demo", "--photos", "coco", "--batches", "2"),
    *("--request-batches", "2", "--arrangement", "4x1x1", "--clients", "2"),
    *("--seconds", "0.05", "--served-seconds", "0.05"),
]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has, nothing can see it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_it_says_so_and_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "gpu.json"
    result = invoke("--json", str(file))
    assert result.exit_code == 1, result.output
    assert "driver        MISSING: no NVIDIA GPU" in result.output
    assert "GPU: not measured: no NVIDIA GPU" in result.output
    results = read_results(file)
    assert not results.figures
    assert results.sections["gpu"]["measured"] is False
    assert results.sections["gpu"]["reason"].startswith("no NVIDIA GPU: the driver's library (libcuda.so.1)")
    assert invoke("--check").exit_code == 1


def test_what_another_report_says_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    assert absence.why_none(Gpus(problem="CUDA error 803")).endswith("cannot be used: CUDA error 803")
    monkeypatch.setattr(absence, "find_gpus", lambda: Gpus(count=1))
    assert absence.absence() == {
        "measured": False,
        "reason": "there is one, which this command hides: bench/gpu.sh measures it",
    }


def test_what_a_gpu_that_cannot_be_shared_is_good_for(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = f"{CANNOT_SHARE}: cuIpcGetMemHandle fails with CUDA error 801"
    monkeypatch.setattr(survey, "find_gpus", lambda: Gpus(problem=problem))
    found = survey.survey("gpu")
    assert found.lacks[survey.TRITON] == problem
    assert not found.hopeless, "engine and decoder can be measured alone"
    monkeypatch.setattr(survey, "find_gpus", lambda: Gpus(problem="the NVIDIA driver fails with CUDA error 803"))
    assert "CUDA error 803" in survey.survey("gpu").hopeless


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--batches", "1,x"], "no numbers from 1 on"),
        (["--photos", "4k"], "there is no 4k; choose of coco, 1080p"),
        (["--arrangement", "16"], "such as 16x1x2"),
        (["--rounds", "2"], "2 is not in the range x>=3"),
        (["--json", "/nowhere/gpu.json"], "cannot write /nowhere/gpu.json"),
        (["--device", "cpu", "--models", "yolov99"], "there is no yolov99.pt in --weights"),
        (["--device", "cpu", "--repository", str(REPOSITORY), "--models", "nobody"], "there is no nobody in"),
        (["--device", "cpu", "--material", str(REPOSITORY)], "is no folder of `bench/gpu.sh --prepare`"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2, result.output
    assert message in " ".join(result.output.split())


def test_the_plan_alone() -> None:
    result = invoke(*SMALL, "--plan")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "demo, onnxruntime, without NMS, batch 2" in lines
    assert "served demo coco, arranged 4x1x1, 2 clients, batch 2" in lines
    assert lines[-1].startswith("6 alone and 1 served: ")


def test_the_script_finds_its_python_and_hands_on_options() -> None:
    script = CHECKOUT / "bench" / "gpu.sh"
    without = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [script, "--device", "cpu", "--plan"], capture_output=True, text=True, check=False, env=without
    )
    assert done.returncode == 0, done.stderr
    assert "served yolov8m 1080p, arranged 64x2x2, 4 clients, batch 64" in done.stdout
    nobody = subprocess.run([script, "--python", "nobody"], capture_output=True, text=True, check=False)
    assert (nobody.returncode, nobody.stderr) == (2, "gpu.sh: there is no nobody; name one with --python\n")


@pytest.mark.timeout(900)
def test_a_rehearsal(tmp_path: Path) -> None:
    file = tmp_path / "rehearsal.json"
    result = invoke(*SMALL, "--work", str(tmp_path / "work"), "--json", str(file))
    assert result.exit_code == 1, result.output  # TensorRT and CUDA graphs are left out, which is told
    assert REHEARSAL in " ".join(result.output.split())
    results = read_results(file)
    section = results.sections["gpu"]
    assert (section["measured"], section["reason"]) == (False, REHEARSAL)
    content = section["rehearsal"]
    assert not [row["failure"] for row in [*content["alone"], *content["served"]] if row["failure"]]
    assert set(results.figures) == {
        "rehearsal_on_cpu_served_over_limit_demo_coco",
        "rehearsal_on_cpu_best_served_over_limit_demo_coco",
    }
    for figure in results.figures.values():
        assert REHEARSAL in figure.note
        assert figure.target is None
        assert figure.ratio is not None
        assert len(figure.ratio.runs) == 3
    check_rows(content)


def check_rows(content: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in content["alone"]}
    whole = rows["demo, onnxruntime, with NMS, batch 2"]
    assert len(whole["images_per_second"]["runs"]) == 3
    assert whole["found"] > 0
    assert whole["gpu"] is None
    assert rows["demo, onnxruntime, without NMS, batch 2"]["found"] is None
    assert set(content["letterbox_ms"]) == {"decode and letterbox coco, batch 2"}
    (served,) = content["served"]
    assert served["found"] > 0
    assert served["over_limit"]["median"] == pytest.approx(sorted(served["over_limit"]["runs"])[1])
    assert served["limit"] in served["limits"]
    assert set(content["passes"]) == set(rows)


def test_material_can_be_carried(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path / "work", lambda line: None)
    made = make_material(workshop, Sources(repository=REPOSITORY), ["demo"], "cpu")
    pack(made, tmp_path / "packed")
    (tmp_path / "packed").rename(tmp_path / "carried")
    found = unpack(tmp_path / "carried", ["demo"])
    assert found.models["demo"].repository == tmp_path / "carried" / "demo" / "repository"
    config = found.models["demo"].repository / network_name("demo") / CONFIG_FILE
    assert parse(config.read_text()).name == network_name("demo")
    assert {size: each.title for size, each in found.photos.items()} == {
        size: each.title for size, each in made.photos.items()
    }
    assert [file.read_bytes() for file in found.photos["1080p"].files] == [
        file.read_bytes() for file in made.photos["1080p"].files
    ]
