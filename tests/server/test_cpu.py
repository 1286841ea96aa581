"""The division of the cores among instances."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.contract import THREADS_PARAMETER
from sightline.errors import LaunchError
from sightline_server.cpu import available_cores, instance_count, threads_per_instance


@pytest.mark.parametrize(
    ("groups", "count"),
    [
        ([], 1),
        ([{"count": 2}], 2),
        ([{"count": 2, "gpus": []}], 2),
        ([{"count": 2, "gpus": [0, 1]}], 4),
        ([{"count": 1}, {"count": 3}], 4),
    ],
)
def test_instance_count(groups: list[dict[str, Any]], count: int) -> None:
    assert instance_count({"instance_group": groups}) == count


def test_instances_share_the_cores() -> None:
    cores = available_cores()
    for count in (1, 2, 3, cores, cores + 1):
        threads = threads_per_instance({"instance_group": [{"count": count}]})
        assert threads >= 1
        assert threads * count <= max(cores, count)
        assert (threads + 1) * count > cores


def test_a_model_may_state_its_threads() -> None:
    config = {"instance_group": [{"count": 2}], "parameters": {THREADS_PARAMETER: {"string_value": "7"}}}
    assert threads_per_instance(config) == 7


@pytest.mark.parametrize("text", ["0", "-1", "two", "", "1.5", "²"])
def test_threads_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(LaunchError, match="write a whole number from 1 on"):
        threads_per_instance({"parameters": {THREADS_PARAMETER: {"string_value": text}}})
