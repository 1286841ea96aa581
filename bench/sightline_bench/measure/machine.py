"""What a measurement ran on: processor, memory, versions, commit."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from sightline.doctor.cpu import named_features, probe_cpu

_CHECKOUT = Path(__file__).resolve().parents[3]
_PACKAGES = (
    "sightline",
    "nvidia-dali-cuda120",
    "nvidia-pytriton",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "nncf",
    "torch",
    "torchvision",
    "ultralytics",
    "detecto",
    "opencv-python-headless",
    "tritonclient",
    "numpy",
)


def describe_machine() -> dict[str, Any]:
    """Processor, memory and system; `load_average` is what ran besides, a minute's mean, when it was asked."""
    cpu = probe_cpu()
    return {
        "cpu": cpu.model or platform.processor(),
        "features": named_features(cpu.features),
        "usable_cores": cpu.usable_cores,
        "machine_cores": cpu.machine_cores,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }


def describe_versions() -> dict[str, str]:
    """Of the packages that matter and are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_commit(checkout: Path = _CHECKOUT) -> dict[str, Any]:
    """`commit`, and whether tracked files differ from it (`dirty`); the former is empty where this is no checkout."""
    commit = _git(checkout, "rev-parse", "HEAD")
    return {"commit": commit, "dirty": bool(commit and _git(checkout, "status", "--porcelain", "--untracked-files=no"))}


def _git(checkout: Path, *arguments: str) -> str:
    """What git says; empty where it is not installed, or the folder is not one of its own."""
    if not (checkout / ".git").exists():
        return ""
    try:
        done = subprocess.run(["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
