"""What a report says of GPUs where none was measured."""

from __future__ import annotations

from typing import Any

from sightline_server.gpu import DRIVER_LIBRARY, Gpus, find_gpus

SECTION = "gpu"
"""Under `sections` in the JSON file."""


def not_measured(reason: str) -> dict[str, Any]:
    """The section of a run without a GPU."""
    return {"measured": False, "reason": reason}


def absence() -> dict[str, Any]:
    """The section of `sightline bench`, which measures the processor, whatever else is there."""
    return not_measured(why_none(find_gpus()) or "there is one, which this command hides: bench/gpu.sh measures it")


def why_none(gpus: Gpus) -> str:
    """Why there is no GPU to measure; empty where there is one."""
    if gpus.problem:
        return f"there is an NVIDIA driver that cannot be used: {gpus.problem}"
    if not gpus.count:
        return f"no NVIDIA GPU: the driver's library ({DRIVER_LIBRARY}) is not there, or it finds no device"
    return ""
