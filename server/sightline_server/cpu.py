"""How a model's instances share the cores that there are for this process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sightline.cores import usable_cores


def available_cores() -> int:
    """Cores to keep busy: those that this process may use, a part of one counted whole."""
    return math.ceil(usable_cores())


def instance_count(config: Mapping[str, Any]) -> int:
    """Processes that Triton starts for a model, from its configuration as Triton hands it to the backend."""
    groups = config.get("instance_group", [])
    return max(1, sum(int(group.get("count", 1)) * max(1, len(group.get("gpus", []))) for group in groups))


def threads_per_instance(config: Mapping[str, Any]) -> int:
    """Threads for each instance, so that all of them together use every core once."""
    return max(1, available_cores() // instance_count(config))
