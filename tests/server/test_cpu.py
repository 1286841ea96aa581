"""Cores, and their division among instances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sightline_server.cpu import available_cores, cgroup_cores, instance_count, threads_per_instance


def test_cgroup_version_2(tmp_path: Path) -> None:
    assert cgroup_cores(tmp_path) is None
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_cores(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cgroup_cores(tmp_path) == 1.5


def test_cgroup_version_1(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("-1\n")
    assert cgroup_cores(tmp_path) is None
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("400000\n")
    assert cgroup_cores(tmp_path) == 4.0


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
