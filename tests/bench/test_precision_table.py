"""The table of precisions: that the page is what the kept results say, and that nothing is judged by what it saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline.contract import EXPORT_PRECISIONS
from sightline_bench.models_table.results import Results
from sightline_bench.precision_table.five import GROUP
from sightline_bench.precision_table.page import render
from sightline_bench.precision_table.photos import halve, pictures
from sightline_bench.precision_table.rows import precision_rows
from sightline_bench.precision_table.served import compare_paces

CHECKOUT = Path(__file__).resolve().parents[2]
RESULTS = Results(CHECKOUT / "bench" / "results" / "precisions.json")


def test_the_page_is_what_was_measured() -> None:
    page = (CHECKOUT / "docs" / "models-precision.md").read_text(encoding="utf-8")
    assert page == render(RESULTS)
    assert "| `yolov5n` | int8 | passed |" in page


def test_it_has_a_row_for_each_layout_of_outputs() -> None:
    models = Results(CHECKOUT / "bench" / "results" / "models.json")
    heads = {models[row.name]["export"]["head"] for row in precision_rows()}
    assert heads == {"anchors_first", "anchors_last", "end_to_end", "ranked_queries"}


@pytest.mark.parametrize("row", [row for row in precision_rows() if row.name in RESULTS], ids=lambda row: row.name)
def test_what_was_measured_of_real_weights_is_as_good_as_promised(row: Any) -> None:
    came = RESULTS[row.name]["precisions"]
    assert tuple(came) == EXPORT_PRECISIONS
    assert came["fp32"]["gate"]["outcome"] == "passed"
    if row.weights != "official":
        return
    gate = came["int8"]["gate"]
    assert gate["matched"] >= 0.9 * gate["reference"]
    assert 100 * abs(came["int8"]["ap_50_95"] - came["fp32"]["ap_50_95"]) <= 1.5


def test_no_photo_is_calibrated_on_and_judged(shared_data: Path, tmp_path: Path) -> None:
    halves = halve(shared_data, tmp_path)
    calibration, judged = ({path.name for path in pictures(each)} for each in (halves.calibration, halves.judged))
    assert len(calibration) == len(judged) == 50
    assert calibration.isdisjoint(judged)


def test_paces_are_compared_within_a_round() -> None:
    found = compare_paces({"fp32": [10.0, 100.0, 20.0], "int8": [5.0, 25.0, 16.0]})
    assert found["fp32"].of_first == (1, 1, 1)
    assert found["int8"].of_first == (0.25, 0.5, 0.8)
    assert (found["fp32"].milliseconds, found["int8"].milliseconds) == (20, 16)


def test_what_was_refused_and_what_a_group_finds_stand_on_the_page(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json")
    measured = RESULTS["yolov5n"]
    refused = {**measured["precisions"], "int8": {"refused": "the gate\nsays no"}}
    results.add("yolov5n", {**measured, "precisions": refused})
    agreement = {"objects": 3, "images_identical": 2, "largest_shift_pixels": 0.5, "largest_score_difference": 0.01}
    member = {"source": "a.pt", "precision": "fp32", "engine": measured["precisions"]["fp32"]["engine"]}
    results.add(
        GROUP,
        {"images": 2, "score_threshold": 0.25, "members": {"a": {**member, "agreement": agreement}}, "seconds": 1},
    )
    page = render(results)
    assert "| `yolov5n` | int8 | refused |" in page
    assert "- `yolov5n` in int8: the gate says no" in page
    assert "the same to the last bit" in page
    assert "| 3 | 2 of 2 | 0.5 | 0.01 |" in page
