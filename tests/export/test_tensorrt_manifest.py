"""What start.sh runs before tritonserver: a file that needs Python's standard library and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.export.fake_tensorrt import L4, T4, FakeTensorRT, write_tiny_detector

from sightline import contract
from sightline_export import config
from sightline_export.tensorrt import manifest
from sightline_export.tensorrt.build import build_plans
from sightline_export.tensorrt.options import BuildOptions

FILE = Path(manifest.__file__)


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> FakeTensorRT:
    return FakeTensorRT(tmp_path_factory.mktemp("tools"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tools: FakeTensorRT) -> Path:
    """A repository of plans for TensorRT 10.13.3 and an L4."""
    folder = tmp_path_factory.mktemp("built")
    write_tiny_detector(folder / "models", "tiny")
    options = BuildOptions(precision="fp32", cache=folder / "cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tools.folder), prepend=os.pathsep)
        (outcome,) = build_plans(folder / "models", folder / "plans", options=options)
    assert outcome.state == "built"
    return folder / "plans"


@pytest.fixture
def plans(built: Path, tmp_path: Path, tools: FakeTensorRT) -> Path:
    tools.tensorrt("10.13.3")
    tools.gpus(L4)
    return shutil.copytree(built, tmp_path / "plans")


def run(repository: Path, tools: FakeTensorRT | None, *more: str) -> subprocess.CompletedProcess[str]:
    """As the serving container does: no site-packages, nothing of ours on the path."""
    environment = {"PATH": "/usr/bin:/bin", manifest.TRTEXEC_VARIABLE: "/nowhere/trtexec"}
    if tools:
        environment = {"PATH": f"{tools.folder}:/usr/bin:/bin"}
    command = [sys.executable, "-I", "-S", "-B", str(FILE), str(repository), *more]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_plans_of_this_machine_are_served_without_a_word(plans: Path, tools: FakeTensorRT) -> None:
    done = run(plans, tools)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_names_are_those_of_the_contract() -> None:
    assert manifest.PLAN_FILE == contract.TENSORRT_FILE
    assert manifest.NETWORK_SUFFIX == contract.NETWORK_SUFFIX
    assert manifest.CONFIG_FILE == config.CONFIG_FILE


def test_several_gpus_of_one_sort_are_one_sort(plans: Path, tools: FakeTensorRT) -> None:
    tools.gpus(L4, L4)
    assert run(plans, tools).returncode == 0


def test_a_repository_without_plans_asks_nobody(tmp_path: Path) -> None:
    write_tiny_detector(tmp_path / "models", "tiny")
    done = run(tmp_path / "models", None)
    assert (done.returncode, done.stderr) == (0, "")


def test_another_tensorrt_is_refused_with_the_command_that_rebuilds(plans: Path, tools: FakeTensorRT) -> None:
    tools.tensorrt("11.1.0")
    done = run(plans, tools, "--rebuild", "docker compose run --rm export")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "plan refused: tiny_net version 1: TensorRT is 11.1.0, it was built for 10.13.3",
        "build it for this machine: docker compose run --rm export",
    ]


def test_another_gpu_is_refused(plans: Path, tools: FakeTensorRT) -> None:
    tools.gpus(L4, T4)
    done = run(plans, tools)
    assert done.returncode == 1
    assert "GPU is Tesla T4 (compute capability 7.5), it was built for NVIDIA L4 (compute" in done.stderr
    assert "build it for this machine: sightline tensorrt build" in done.stderr


def test_only_the_served_version_must_fit(plans: Path, tools: FakeTensorRT) -> None:
    shutil.copytree(plans / "tiny_net" / "1", plans / "tiny_net" / "2")
    file = plans / "tiny_net" / "2" / "manifest.json"
    file.write_text(file.read_text().replace("10.13.3", "9.0.0"))
    assert run(plans, tools).returncode == 0
    config = plans / "tiny_net" / "config.pbtxt"
    config.write_text(config.read_text().replace("versions: 1", "versions: 2"))
    assert "tiny_net version 2: TensorRT is 10.13.3, it was built for 9.0.0" in run(plans, tools).stderr


def damage_plan(plans: Path) -> None:
    plan = plans / "tiny_net" / "1" / "model.plan"
    plan.write_bytes(b"A" + plan.read_bytes()[1:])


def shorten_plan(plans: Path) -> None:
    plan = plans / "tiny_net" / "1" / "model.plan"
    plan.write_bytes(plan.read_bytes()[:-1])


def unfinished(plans: Path) -> None:
    shutil.rmtree(plans / "tiny")
    (plans / "tiny_net" / "config.pbtxt").unlink()


DAMAGES = {
    "model.plan is not the file of its manifest": damage_plan,
    "bytes, its manifest says": shorten_plan,
    "model.plan is missing": lambda plans: (plans / "tiny_net" / "1" / "model.plan").unlink(),
    "manifest.json is missing or unreadable": lambda plans: (plans / "tiny_net" / "1" / "manifest.json").unlink(),
    "so nobody knows what its plan fits": lambda plans: (plans / "tiny_net" / "1" / "manifest.json").write_text("[]"),
    "a build was killed while it replaced": lambda plans: (plans / manifest.JOURNAL_FILE).write_text("{}"),
    "tiny_net has no config.pbtxt": unfinished,
}


@pytest.mark.parametrize("says", DAMAGES)
def test_a_damaged_repository_is_refused(plans: Path, tools: FakeTensorRT, says: str) -> None:
    DAMAGES[says](plans)
    done = run(plans, tools)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_machine_that_tells_nothing_is_refused(plans: Path, tools: FakeTensorRT) -> None:
    assert "there is no trtexec" in run(plans, None).stderr
    tools.gpus(status=9)
    assert "ended with 9" in run(plans, tools).stderr
    tools.gpus("No devices were found")
    assert "lists no GPU" in run(plans, tools).stderr
    tools.tell(banner="trtexec: error while loading shared libraries")
    assert "does not tell its version" in run(plans, tools).stderr


def test_plans_that_others_built_are_left_alone(plans: Path, tools: FakeTensorRT) -> None:
    (plans / "theirs" / "1").mkdir(parents=True)
    (plans / "theirs" / "1" / "model.plan").write_bytes(b"plan")
    (plans / "theirs" / "config.pbtxt").write_text('name: "theirs"\nbackend: "tensorrt"\nmax_batch_size: 4\n')
    assert run(plans, tools).returncode == 0


def test_a_manifest_says_all_that_it_was_built_for(plans: Path) -> None:
    told = json.loads((plans / "tiny_net" / "1" / "manifest.json").read_text())
    assert told["tensorrt"] == "10.13.3"
    assert (told["gpu"], told["compute_capability"]) == ("NVIDIA L4", "8.9")
    assert told["precision"] == "fp32"
    assert (told["min_batch"], told["opt_batch"], told["max_batch"]) == (1, 8, 16)
    assert len(told["onnx_sha256"]) == len(told["plan_sha256"]) == 64
    assert told["built_at"].endswith("+00:00")
