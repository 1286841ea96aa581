"""How many of the machine's cores this process may use: its affinity, within the quotas of its control groups."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

CGROUP_FOLDER = Path("/sys/fs/cgroup")
"""Where Linux mounts control groups; version 2 directly there, version 1 with a folder for each controller."""
_MEMBERSHIP_FILE = Path("/proc/self/cgroup")


def usable_cores() -> float:
    """CPU time that this process gets per time, at most: the tightest of its affinity and every quota."""
    affinity = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min([float(affinity), *cgroup_quotas(CGROUP_FOLDER, _read(_MEMBERSHIP_FILE))])


def cgroup_quotas(folder: Path, membership: str) -> list[float]:
    """Quotas, in cores, of this process's own control group and those around it, as far as they are visible.

    Args:
        folder: as `CGROUP_FOLDER`.
        membership: text of `/proc/self/cgroup`; empty looks at the outermost group only, as inside a container.
    """
    version_1 = folder / "cpu"
    quotas = [
        *(parse_cpu_max(_read(group / "cpu.max")) for group in _groups(folder, membership, r"0::")),
        *(
            parse_cfs(_read(group / "cpu.cfs_quota_us"), _read(group / "cpu.cfs_period_us"))
            for group in _groups(version_1, membership, r"\d+:(?:[^:\n]*,)?cpu(?:,[^:\n]*)?:")
        ),
    ]
    return [quota for quota in quotas if quota is not None]


def parse_cpu_max(text: str) -> float | None:
    """Cores allowed by the text of a cgroup v2 `cpu.max`, such as `150000 100000`; None for `max`."""
    return parse_cfs(*text.strip().partition(" ")[::2])


def parse_cfs(quota: str, period: str) -> float | None:
    """Cores allowed by the texts of cgroup v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`; None for -1."""
    quota, period = quota.strip(), period.strip()
    if not (quota.isdecimal() and period.isdecimal() and int(quota) and int(period)):
        return None
    return int(quota) / int(period)


def _groups(root: Path, membership: str, line: str) -> list[Path]:
    """Folders of the group that the membership's line names, and of those around it."""
    inside = re.search(rf"^{line}/(.*)$", membership, re.MULTILINE)
    own = root / (inside[1] if inside else "")
    return [group for group in (own, *own.parents) if group.is_relative_to(root)]


def _read(path: Path) -> str:
    """Text of a small file of the system; empty where it is absent or not ours to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
