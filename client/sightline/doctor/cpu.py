"""Read the processor's name and features, and what of it this process may use."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from sightline.cores import usable_cores
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


def probe_cpu() -> Cpu:
    """This machine's processor."""
    model, features = _name_and_features()
    return Cpu(model=model, features=features, usable_cores=usable_cores(), machine_cores=os.cpu_count() or 1)


def _name_and_features() -> tuple[str, frozenset[str]]:
    if platform.system() == LINUX:
        return parse_cpuinfo(read_text(Path("/proc/cpuinfo")) or "")
    if platform.system() == MACOS:
        command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2)
        return answer.stdout.strip(), frozenset()
    return platform.processor(), frozenset()


def read_text(path: Path) -> str | None:
    """Text of a small file of the system; None where it is absent or not ours to read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
