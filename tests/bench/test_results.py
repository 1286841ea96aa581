"""The JSON file of a run, and what says where it was made."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from sightline.errors import InvalidOptionError, OutputError
from sightline_bench.measure.machine import describe_commit, describe_machine, describe_versions
from sightline_bench.measure.results import Better, Figure, Results, read_results, write_results
from sightline_bench.measure.rounds import Ratio

MEASURED = Figure(
    title="served by alone", unit="x", better="higher", target=0.97, ratio=Ratio((0.9, 1.0, 0.98)), setting="fp32"
)
LACKING = Figure(
    title="letterbox", unit="ms", better="lower", target=0.7, ratio=None, setting="", note="not measured: no OpenCV"
)


def test_the_file_has_every_figure(tmp_path: Path) -> None:
    results = Results(
        figures={"served": MEASURED, "letterbox_ms": LACKING}, environment={"commit": "abc", "quick": True}
    )
    write_results(tmp_path / "results.json", results)
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["ratios"]["served"] == {
        "title": "served by alone",
        "unit": "x",
        "better": "higher",
        "target": 0.97,
        "median": 0.98,
        "low": 0.9,
        "high": 1.0,
        "runs": [0.9, 1.0, 0.98],
        "setting": "fp32",
        "note": "",
    }
    assert content["ratios"]["letterbox_ms"]["median"] is None
    assert content["ratios"]["letterbox_ms"]["runs"] == []
    assert (content["commit"], content["quick"], content["schema"]) == ("abc", True, 1)
    assert read_results(tmp_path / "results.json") == results


def test_what_was_not_measured_says_why() -> None:
    with pytest.raises(InvalidOptionError, match="does not say why"):
        Figure(title="it", unit="x", better="higher", target=1.0, ratio=None, setting="")


@pytest.mark.parametrize(
    ("better", "target", "runs", "reached"),
    [
        ("higher", 2.0, (1.0, 2.0, 3.0), True),
        ("higher", 2.1, (1.0, 2.0, 3.0), False),
        ("lower", 2.0, (1.0, 2.0, 3.0), True),
        ("lower", 1.9, (1.0, 2.0, 3.0), False),
        ("higher", None, (1.0,), None),
    ],
)
def test_a_target_is_reached_by_the_median(
    better: Better, target: float | None, runs: tuple[float, ...], reached: bool | None
) -> None:
    figure = Figure(title="it", unit="x", better=better, target=target, ratio=Ratio(runs), setting="")
    assert figure.reached is reached


def test_what_was_not_measured_has_reached_nothing() -> None:
    assert LACKING.reached is None


def test_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("{}")
    with pytest.raises(InvalidOptionError, match="schema is None"):
        read_results(file)
    file.write_text("no JSON")
    with pytest.raises(InvalidOptionError, match=r"cannot read .*other\.json"):
        read_results(file)


def test_a_place_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot write"):
        write_results(tmp_path / "file" / "results.json", Results(figures={}))


def test_the_machine_and_its_versions_are_named() -> None:
    machine = describe_machine()
    assert machine["cpu"]
    assert machine["usable_cores"] > 0
    assert machine["memory_bytes"] > 10**8
    assert {"sightline", "numpy"} <= describe_versions().keys()


def test_the_commit_is_named_and_changes_are_told(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(tmp_path), "-c", "user.name=n", "-c", "user.email=e", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert describe_commit(tmp_path) == {"commit": "", "dirty": False}
    git("init", "--quiet")
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "one")
    assert describe_commit(tmp_path) == {"commit": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("two")
    assert describe_commit(tmp_path)["dirty"]
