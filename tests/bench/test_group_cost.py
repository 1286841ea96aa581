"""What a group costs: who takes turns with whom, and what the networks alone are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from tests.export.lint_repository import INFO, write_good_repository

from sightline import Detections
from sightline.preprocessing import Preprocessing
from sightline_bench.group_agreement import compare
from sightline_bench.group_cost import Bench, Cost, ratios, take_turns
from sightline_bench.networks_alone import write_networks_alone
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.groups import install_group
from sightline_export.lint import lint


def cost(wall: float) -> Cost:
    return Cost(wall=wall, decoding=1, networks=wall, triton=1, decoded=1)


class Turns:
    """Notes who is asked, and answers with the number of the turn."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ways(self) -> dict[str, str]:
        return {"group": "group", "members": "members", "alone": "alone"}

    def cost(self, way: str) -> Cost:
        self.asked.append(way)
        return cost(len(self.asked))


def test_another_way_begins_each_round_and_the_first_round_does_not_count() -> None:
    turns = Turns()
    found = take_turns(cast("Bench", turns), 2)
    assert turns.asked == ["group", "members", "alone", "members", "alone", "group", "alone", "group", "members"]
    assert {name: [each.wall for each in costs] for name, costs in found.items()} == {
        "group": [6, 8],
        "members": [4, 9],
        "alone": [5, 7],
    }


def test_ratios_are_those_of_one_round() -> None:
    group, alone = [cost(2), cost(30), cost(9)], [cost(4), cost(20), cost(9)]
    assert ratios(group, alone, lambda each: each.wall) == (0.5, 1, 1.5)


def test_networks_alone_are_the_group_without_its_decode(tmp_path: Path) -> None:
    small = replace(INFO, preprocessing=Preprocessing.letterbox(320))
    for name, info in {"first": INFO, "second": INFO, "small": small}.items():
        write_good_repository(tmp_path, detector=name, info=info)
    install_group(tmp_path, "fleet", ["first", "second", "small"])
    alone = parse((tmp_path / write_networks_alone(tmp_path, "fleet") / CONFIG_FILE).read_text())
    group = parse((tmp_path / "fleet" / CONFIG_FILE).read_text())
    steps = [step.model_name for step in alone.ensemble_scheduling.step]
    assert steps == ["first_net", "second_net", "small_net"]
    assert [step.model_name for step in group.ensemble_scheduling.step[-3:]] == steps
    assert {tensor.name: list(tensor.dims) for tensor in alone.input} == {
        "score_threshold": [1],
        "letterbox_640.images": [640, 640, 3],
        "letterbox_640.original_shape": [3],
        "letterbox_320.images": [320, 320, 3],
        "letterbox_320.original_shape": [3],
    }
    assert alone.output == group.output
    assert [finding for finding in lint(tmp_path) if finding.severity == "error"] == []


def test_agreement_is_to_the_last_bit() -> None:
    def found(score: float, *classes: int) -> Detections:
        boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (len(classes), 1))
        scores = np.full(len(classes), score, np.float32)
        return Detections(boxes, scores, np.array(classes, np.int32), ("a", "b"), (10, 10))

    came = compare([found(0.5, 0), found(0.5, 0, 1), found(0.5)], [found(0.5, 0), found(0.75, 0, 1), found(0.5, 1)])
    assert (came.objects, came.images_identical, came.images_same) == (3, 1, 2)
    assert (came.largest_shift_pixels, came.largest_score_difference) == (0, 0.25)
