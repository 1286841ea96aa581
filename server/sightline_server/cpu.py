"""How many cores there are for this process, and how a model's instances share them."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CGROUP_FOLDER = Path("/sys/fs/cgroup")


def available_cores() -> int:
    """Cores that this process may use: its affinity, within the container's quota."""
    quota = cgroup_cores(CGROUP_FOLDER)
    cores = len(os.sched_getaffinity(0))
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


def cgroup_cores(folder: Path) -> float | None:
    """CPU time that the container may use per time, or None where nothing limits it.

    Args:
        folder: where cgroups are mounted; version 2 keeps `cpu.max` there, version 1 a folder `cpu`.
    """
    try:
        quota, period = (folder / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (folder / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu" / "cpu.cfs_period_us").read_text()
        except OSError:
            return None
    # No limit is `max` in version 2 and -1 in version 1.
    if quota == "max" or int(quota) <= 0:
        return None
    return int(quota) / int(period)


def instance_count(config: Mapping[str, Any]) -> int:
    """Processes that Triton starts for a model, from its configuration as Triton hands it to the backend."""
    groups = config.get("instance_group", [])
    return max(1, sum(int(group.get("count", 1)) * max(1, len(group.get("gpus", []))) for group in groups))


def threads_per_instance(config: Mapping[str, Any]) -> int:
    """Threads for each instance, so that all of them together use every core once."""
    return max(1, available_cores() // instance_count(config))
