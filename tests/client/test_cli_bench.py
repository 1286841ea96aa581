"""`sightline bench` as a command."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from sightline.cli import bench
from sightline.errors import MissingDependencyError
from sightline_bench.measure.results import Figure
from sightline_bench.measure.rounds import Ratio
from sightline_bench.table import show

KEY = "letterbox_ms"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "speed"], "no figure is called speed; there are .*letterbox_ms"),
        (["--json", "nowhere/bench.json"], "there is no folder"),
        (["--images", "."], "no pictures"),
        (["--rounds", "2"], "2 is not in the range x>=3"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(bench.command, [*arguments, "--work", "work"])
    assert done.exit_code == 2
    assert len(words.split(".*")) == len([word for word in words.split(".*") if word in " ".join(done.output.split())])


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "_NEEDED", ("numpy", "no_such_package.inside"))
    done = CliRunner().invoke(bench.command, [])
    assert isinstance(done.exception, MissingDependencyError)
    assert str(done.exception).startswith("`sightline bench` needs no_such_package.inside: `make install`")


def test_a_figure_is_measured_and_written(shared_data: Path, tmp_path: Path) -> None:
    folders = ["--images", str(shared_data / "images"), "--weights", str(shared_data / "weights")]
    file = tmp_path / "bench.json"
    options = ["--quick", "--only", KEY, "--work", str(tmp_path / "work"), "--json", str(file), *folders]
    done = CliRunner().invoke(bench.command, options)
    assert done.exit_code == 0, done.output
    content = json.loads(file.read_text())
    assert list(content["ratios"]) == [KEY]
    figure = content["ratios"][KEY]
    assert len(figure["runs"]) == content["rounds"] == 3
    assert figure["low"] <= figure["median"] <= figure["high"]
    assert figure["unit"] == "ms"
    assert "JPEGs of 640 x 480" in figure["setting"]
    assert content["races"][0]["contestants"][KEY]["peak_memory_bytes"] > 10**7
    assert KEY in done.output


def test_the_table_says_what_was_reached_and_what_was_not_measured() -> None:
    figures = {
        "fast": Figure(title="A", unit="x", better="higher", target=2.0, ratio=Ratio((2.0, 3.0, 4.0)), setting="S"),
        "slow": Figure(title="B", unit="ms", better="lower", target=0.5, ratio=Ratio((1.0, 1.0, 1.0)), setting="S"),
        "lost": Figure(title="C", unit="x", better="lower", target=1.0, ratio=None, setting="", note="no such file"),
    }
    text = io.StringIO()
    show(figures, Console(width=120, file=text))
    lines = text.getvalue().splitlines()

    def line(word: str) -> str:
        return next(line for line in lines if word in line)

    assert "3" in line("A ")
    assert "2 - 4" in line("A ")
    assert "reached" in line("A ")
    assert "≤ 0.5 ms" in line("B ")
    assert "missed" in line("B ")
    assert "not measured" in line("C ")
    assert line("no such file").split() == ["lost", "no", "such", "file"]
