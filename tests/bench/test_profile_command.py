"""`sightline profile`: the whole of it on the demo detector, and what it refuses."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.console import Console
from tests.conftest import skip_or_fail

from sightline.cli import cli
from sightline.errors import MissingDependencyError
from sightline_bench.profile.as_json import as_json
from sightline_bench.profile.options import ProfileOptions
from sightline_bench.profile.page import render
from sightline_bench.profile.profile import Profile, profile
from sightline_bench.profile.served import STAGES
from sightline_bench.profile.terminal import bar, show
from sightline_server.locate import locate_triton

CHECKOUT = Path(__file__).resolve().parents[2]
REPOSITORY = CHECKOUT / "model_repository"
LAYERS = [{"count": 5}, {"name": "network_/stem/Conv", "timeMs": 5.0, "averageMs": 1.0, "percentage": 100.0}]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["profile", *map(str, arguments)])


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    """A very short profile of the demo detector."""
    try:
        locate_triton()
    except MissingDependencyError as error:
        skip_or_fail(str(error))
    plan = tmp_path_factory.mktemp("plan") / "layers.json"
    plan.write_text(json.dumps(LAYERS), encoding="utf-8")
    options = ProfileOptions(
        repository=REPOSITORY,
        model="demo",
        batches=(1, 2),
        rounds=3,
        runs=1,
        layer_runs=2,
        served_images=2,
        trtexec_profile=plan,
    )
    return profile(options, progress=lambda text: None)


@pytest.fixture(scope="module")
def told(found: Profile) -> dict[str, Any]:
    """Its JSON, as a file would have it."""
    content: dict[str, Any] = json.loads(json.dumps(as_json(found), allow_nan=False))
    return content


def test_everything_is_in_the_json(told: dict[str, Any]) -> None:
    assert told["model"]["name"] == "demo"
    assert told["model"]["parameters"] > 10_000
    assert {"machine", "versions", "commit", "dirty", "roof", "left_out"} <= told.keys()
    ways = {(each["engine"], each["precision"]) for each in told["variants"]}
    assert {("openvino", "fp32"), ("onnxruntime", "fp32")} <= ways
    assert all(run > 0 for each in told["variants"] for run in each["peak_share"]["runs"])
    assert all(each["memory_bytes"] > 0 and each["load_seconds"] > 0 for each in told["variants"])
    assert [point["batch"] for point in told["batches"]["points"]] == [1, 2]


def test_the_layers_hold_all_of_the_graphs_operations(told: dict[str, Any]) -> None:
    openvino, onnxruntime, plan = told["layers"]
    for table in (openvino, onnxruntime):
        assert table["assigned"] == pytest.approx(1.0, abs=0.05)
        assert sum(layer["share"] for layer in table["layers"]) == pytest.approx(1.0)
        assert {"network", "head"} <= table["by_part"].keys()
        assert table["bound"] in ("memory", "compute")
    assert plan["source"].startswith("TensorRT, 5 runs")


def test_a_served_picture_is_taken_apart(told: dict[str, Any]) -> None:
    served = told["served"]
    stages = served["stages_milliseconds"]
    assert tuple(stages) == STAGES
    assert sum(stages.values()) == pytest.approx(served["milliseconds"]["mean"], rel=0.02, abs=2.0)
    assert all(stages[name] > 0 for name in ("read", "decode", "network", "Triton", "write"))
    assert served["network"]["part"] is not None, served["network"]["reason"]
    assert {step["model"] for step in served["stream"]["steps"]} == {"letterbox_640", "demo_net"}


def test_the_page_stands_alone(found: Profile) -> None:
    page = render(found)
    assert page.count("<svg") >= 7
    assert not re.findall(r'(?:src|href)="(?!#|data:)[^"]', page)
    assert "file:" not in page
    for text in ("Roofline", "A served picture", "Batches", "Ways to run the network", "TensorRT, 5 runs"):
        assert text in page


@pytest.mark.parametrize("width", [80, 140])
def test_the_terminal_has_room_for_it(found: Profile, width: int) -> None:
    text = io.StringIO()
    show(found, Console(width=width, file=text), layers=3)
    lines = text.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert any("letterbox_640" in line for line in lines)
    assert any("GFLOP/s" in line and "of peak" in line for line in lines)


def test_a_bar_is_as_long_as_its_share() -> None:
    assert bar(0.5, 10).plain == "█████"
    assert bar(0.0, 10).plain == ""
    assert bar(7.0, 10).plain == "█" * 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nobody", "--repository", REPOSITORY], "no detector nobody"),
        (["demo", "--repository", REPOSITORY, "--beside", "nobody"], "no detector nobody"),
        (["demo", "--repository", REPOSITORY, "--batches", "4,2"], "rising"),
        (["demo", "--repository", REPOSITORY, "--batches", "many"], "not a list of whole numbers"),
        (["demo", "--repository", REPOSITORY, "--format", "jpeg"], "not one of jsonl"),
        (["demo", "--repository", REPOSITORY, "--json", "/nowhere/profile.json"], "there is no folder"),
        (["demo", "--repository", REPOSITORY, "--images", "/nowhere"], "does not exist"),
        (["demo", "--repository", REPOSITORY, "--images", REPOSITORY / "demo"], "holds no"),
    ],
)
def test_what_cannot_be_profiled_is_refused_before_the_work(arguments: list[object], message: str) -> None:
    shown = run(*arguments)
    assert shown.exit_code == 2
    assert message in " ".join(shown.output.split())


@pytest.mark.parametrize("missing", ["matplotlib", "onnx"])
def test_a_missing_extra_is_named_before_the_work(missing: str, tmp_path: Path) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None; from sightline.cli import main; "
        f"sys.argv = ['sightline', 'profile', 'demo', '--repository', {str(REPOSITORY)!r}, '--html', 'p.html']; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "make install" in done.stderr
    assert missing in done.stderr
    assert "Traceback" not in done.stderr
