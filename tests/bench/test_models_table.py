"""The table of models: its rows, and that the page is what the kept results say."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from sightline.errors import MeasurementError
from sightline_bench.models_table.__main__ import main as models_main
from sightline_bench.models_table.command import Row, run_rows
from sightline_bench.models_table.page import render
from sightline_bench.models_table.results import Results
from sightline_bench.models_table.rows import rows
from sightline_bench.precision_table.__main__ import main as precisions_main

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = CHECKOUT / "bench" / "results" / "models.json"


def test_the_page_is_what_was_measured() -> None:
    page = render(rows(), Results(RESULTS))
    assert (CHECKOUT / "docs" / "models.md").read_text(encoding="utf-8") == page


def test_each_model_is_one_row() -> None:
    names = [row.name for row in rows()]
    assert len(set(names)) == len(names) > 70


def test_every_kept_row_passed_the_gate() -> None:
    results = Results(RESULTS)
    measured = [results[row.name] for row in rows() if row.name in results]
    assert measured
    for each in measured:
        verification = each["export"]["verification"]
        assert verification["outcome"] == "passed"
        assert verification["reference"] >= 100


def test_the_original_yolov5n_comes_from_the_real_checkpoint() -> None:
    measured = Results(RESULTS)["yolov5n"]
    assert measured["row"]["weights"] == "official"
    assert abs(measured["evaluation"]["difference_points"]["ap_50_95"]) <= 0.1


def test_rows_that_have_a_result_are_left_alone_and_one_that_fails_costs_only_itself(tmp_path: Path) -> None:
    kept = Results(tmp_path / "models.json")
    kept.add("kept", {"seconds": 1.0})
    told: list[str] = []

    def failing() -> dict[str, Any]:
        raise MeasurementError("no such weights")

    rows_to_run: list[Row] = [(name, partial(dict, seconds=2.0)) for name in ("kept", "new", "another")]
    rows_to_run.insert(1, ("broken", failing))
    assert run_rows(rows_to_run, kept, only=("kept", "new", "br*"), again=False, done=told.append) == 1
    assert told == ["new"]
    assert (kept["kept"]["seconds"], kept["new"]["seconds"], "another" in kept) == (1.0, 2.0, False)
    assert run_rows(rows_to_run[:1], kept, only=(), again=True, done=told.append) == 0
    assert kept["kept"]["seconds"] == 2.0


@pytest.mark.parametrize(("command", "page"), [(models_main, "models.md"), (precisions_main, "models-precision.md")])
def test_the_command_writes_the_page_anew(command: click.Command, page: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(command, ["--data", str(tmp_path), "--no-run", "--page", str(tmp_path / page)])
    assert done.exit_code == 0, done.output
    assert (tmp_path / page).read_bytes() == (CHECKOUT / "docs" / page).read_bytes()


def test_results_grow_row_by_row(tmp_path: Path) -> None:
    first = Results(tmp_path / "models.json")
    assert "one" not in first
    first.add("one", {"seconds": 1.0})
    again = Results(tmp_path / "models.json")
    assert "one" in again
    assert again["one"] == {"seconds": 1.0}
    assert [path.name for path in tmp_path.iterdir()] == ["models.json"]


def test_a_row_is_a_line_without_lists_of_classes_and_images(tmp_path: Path) -> None:
    results = Results(tmp_path / "models.json")
    served = {"ap_50_95": 0.4, "classes": [{"name": "cat"}]}
    results.add("one", {"evaluation": {"served": served, "images": {"evaluated": ["a.jpg"], "failed": {}}}})
    results.add("two", {"export": {"class_names": ["cat"], "head": "anchors_last"}})
    assert results["one"] == {"evaluation": {"served": {"ap_50_95": 0.4}, "images": {"failed": {}}}}
    begin, one, two, end = (tmp_path / "models.json").read_text().splitlines()
    assert (begin, end) == ("{", "}")
    assert one.startswith('"one": {')
    assert one.endswith(",")
    assert two == '"two": {"export": {"head": "anchors_last"}}'


def test_the_kept_results_stay_small() -> None:
    names = [row.name for row in rows()]
    assert len(RESULTS.read_text(encoding="utf-8").splitlines()) <= len(names) + 2
