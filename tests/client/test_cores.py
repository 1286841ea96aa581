"""Cores that a process may use, from recorded files of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cores import cgroup_quotas, parse_cfs, parse_cpu_max, usable_cores

HYBRID = "11:cpuset:/\n4:cpu,cpuacct:/docker/abc\n0::/system.slice/triton.service\n"


def write(folder: Path, **texts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("", None), ("max 100000\n", None), ("150000 100000\n", 1.5), ("50000 100000", 0.5), ("100000", None)],
)
def test_quota_of_version_2(text: str, cores: float | None) -> None:
    assert parse_cpu_max(text) == cores


@pytest.mark.parametrize(
    ("quota", "period", "cores"),
    [("", "", None), ("-1\n", "100000\n", None), ("400000\n", "100000\n", 4.0), ("1", "0", None), ("0", "1", None)],
)
def test_quota_of_version_1(quota: str, period: str, cores: float | None) -> None:
    assert parse_cfs(quota, period) == cores


def test_own_and_surrounding_groups_of_version_2(tmp_path: Path) -> None:
    assert cgroup_quotas(tmp_path, HYBRID) == []
    write(tmp_path / "system.slice" / "triton.service", cpu__max="150000 100000\n")
    write(tmp_path / "system.slice", cpu__max="400000 100000\n")
    write(tmp_path / "other.slice", cpu__max="10000 100000\n")
    write(tmp_path, cpu__max="max 100000\n")
    assert cgroup_quotas(tmp_path, HYBRID) == [1.5, 4.0]
    assert cgroup_quotas(tmp_path, "0::/other.slice") == [0.1]


def test_own_and_surrounding_groups_of_version_1(tmp_path: Path) -> None:
    write(tmp_path / "cpu" / "docker" / "abc", cpu__cfs_quota_us="250000\n", cpu__cfs_period_us="100000\n")
    write(tmp_path / "cpu", cpu__cfs_quota_us="-1\n", cpu__cfs_period_us="100000\n")
    assert cgroup_quotas(tmp_path, HYBRID) == [2.5]
    assert cgroup_quotas(tmp_path, "11:cpuset:/docker/abc\n") == []


@pytest.mark.parametrize("membership", ["", "0::/", "0::/../../elsewhere"])
def test_a_container_sees_its_own_group_outermost(tmp_path: Path, membership: str) -> None:
    write(tmp_path, cpu__max="50000 100000\n")
    write(tmp_path / "cpu", cpu__cfs_quota_us="300000\n", cpu__cfs_period_us="100000\n")
    assert cgroup_quotas(tmp_path, membership) == [0.5, 3.0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process's affinity")
def test_affinity_counts() -> None:
    script = "import os; from sightline.cores import usable_cores; os.sched_setaffinity(0, {%d}); print(usable_cores())"
    command = [sys.executable, "-c", script % min(os.sched_getaffinity(0))]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 0 < float(answer.stdout) <= 1 <= max(1, usable_cores())
