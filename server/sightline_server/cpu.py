"""How a model's instances share the cores that there are for this process."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sightline.contract import THREADS_PARAMETER
from sightline.cores import usable_cores
from sightline.errors import LaunchError


def available_cores() -> int:
    """Cores to keep busy: those that this process may use, a part of one counted whole."""
    return math.ceil(usable_cores())


def instance_count(config: Mapping[str, Any]) -> int:
    """Processes that Triton starts for a model, from its configuration as Triton hands it to the backend."""
    groups = config.get("instance_group", [])
    return max(1, sum(int(group.get("count", 1)) * max(1, len(group.get("gpus", []))) for group in groups))


def threads_per_instance(config: Mapping[str, Any]) -> int:
    """Threads for each instance: as many as the model states, else so that all together use every core once.

    Raises:
        LaunchError: what it states is no number of threads.
    """
    stated = config.get("parameters", {}).get(THREADS_PARAMETER, {}).get("string_value")
    if stated is not None:
        if not (stated.isascii() and stated.isdecimal() and int(stated)):
            raise LaunchError(
                f"config.pbtxt: parameter {THREADS_PARAMETER!r} is {stated!r}; write a whole number from 1 on, or "
                "remove it"
            )
        return int(stated)
    return max(1, available_cores() // instance_count(config))


def most_threads(config: Mapping[str, Any]) -> int:
    """Threads for an instance that computes while no other one of the server does: all cores.

    Where the model states its threads, those.

    Raises:
        LaunchError: what it states is no number of threads.
    """
    stated = THREADS_PARAMETER in config.get("parameters", {})
    return threads_per_instance(config) if stated else max(1, available_cores())
