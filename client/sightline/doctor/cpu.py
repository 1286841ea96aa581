"""Read the processor's name and features, and what of it this process may use."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from sightline.doctor.facts import LINUX, MACOS, Cpu

FEATURES = {
    "AVX2": ("avx2",),
    "AVX-512": ("avx512f",),
    "VNNI": ("avx512_vnni", "avx_vnni"),
    "BF16": ("avx512_bf16", "amx_bf16", "bf16"),
    "AMX": ("amx_tile",),
    "NEON": ("asimd",),
}
"""What is worth saying about a processor, and the flags of `/proc/cpuinfo` that mean it."""

_NAME_KEYS = ("model name", "hardware", "model", "cpu model")


def parse_cpuinfo(text: str) -> tuple[str, frozenset[str]]:
    """Name and flags from the text of Linux's `/proc/cpuinfo`, x86 (`flags`) or ARM (`Features`)."""
    first: dict[str, str] = {}
    for key, value in re.findall(r"^([^:\n]+?)[ \t]*:[ \t]*(.*)$", text, re.M):
        first.setdefault(key.lower(), value.strip())
    flags = first.get("flags") or first.get("features") or ""
    # ARM servers often state no name at all; x86 states a number as `model` beside its `model name`.
    name = next((first[key] for key in _NAME_KEYS if key in first and not first[key].isdecimal()), "")
    return name, frozenset(flags.split())


def named_features(flags: frozenset[str]) -> list[str]:
    """The features of `FEATURES` that these flags mean."""
    return [name for name, needed in FEATURES.items() if flags.intersection(needed)]


def bf16_pays(flags: frozenset[str]) -> bool:
    """Whether bf16 has instructions of its own; without them it is emulated, slower than fp32."""
    return bool(flags.intersection(FEATURES["BF16"]))


def parse_cpu_max(text: str) -> float | None:
    """Cores allowed by the text of a cgroup v2 `cpu.max`, such as `150000 100000`; None for `max`."""
    quota, _, period = text.strip().partition(" ")
    return None if not quota.isdecimal() or not period.isdecimal() else int(quota) / int(period)


def parse_cfs(quota: str, period: str) -> float | None:
    """Cores allowed by the texts of cgroup v1 `cpu.cfs_quota_us` and `cpu.cfs_period_us`; None for -1."""
    quota, period = quota.strip(), period.strip()
    return None if not quota.isdecimal() or not period.isdecimal() else int(quota) / int(period)


def usable_cores(affinity: int, quotas: Iterable[float | None]) -> float:
    """The tightest of the affinity mask and every quota that applies."""
    return min([float(affinity), *(quota for quota in quotas if quota is not None)])


def probe_cpu() -> Cpu:
    """This machine's processor."""
    machine_cores = os.cpu_count() or 1
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else machine_cores
    model, features = _name_and_features()
    quotas = _quotas() if platform.system() == LINUX else []
    usable = usable_cores(affinity, quotas)
    return Cpu(model=model, features=features, usable_cores=usable, machine_cores=machine_cores)


def _name_and_features() -> tuple[str, frozenset[str]]:
    if platform.system() == LINUX:
        return parse_cpuinfo(read_text(Path("/proc/cpuinfo")) or "")
    if platform.system() == MACOS:
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2)
        return answer.stdout.strip(), frozenset()
    return platform.processor(), frozenset()


def _quotas() -> list[float | None]:
    """Of this process's own cgroup and those around it, where they are visible, in either version."""
    root = Path("/sys/fs/cgroup")
    v1 = root / "cpu"
    found = [parse_cfs(read_text(v1 / "cpu.cfs_quota_us") or "", read_text(v1 / "cpu.cfs_period_us") or "")]
    inside = re.search(r"^0::/(.*)$", read_text(Path("/proc/self/cgroup")) or "", re.M)
    own = root / (inside[1] if inside else "")
    groups = [own, *own.parents]
    found += [parse_cpu_max(read_text(group / "cpu.max") or "") for group in groups if group.is_relative_to(root)]
    return found


def read_text(path: Path) -> str | None:
    """Text of a small file of the system; None where it is absent or not ours to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
