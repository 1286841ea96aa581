"""Every figure there is."""

from __future__ import annotations

from collections.abc import Iterable

from sightline.errors import InvalidOptionError
from sightline_bench.ratios import (
    clients,
    detecto,
    eight_models,
    five_models,
    latency,
    letterbox,
    load,
    noop_client,
    photos_1080p,
    yolov3,
    yolov8n,
)
from sightline_bench.ratios.registry import Group, Key

GROUPS: tuple[Group, ...] = (
    yolov8n.GROUP,
    letterbox.GROUP,
    yolov3.GROUP,
    detecto.GROUP,
    photos_1080p.GROUP,
    five_models.GROUP,
    noop_client.SPEED_GROUP,
    noop_client.MEMORY_GROUP,
    latency.GROUP,
    load.GROUP,
    clients.GROUP,
    eight_models.GROUP,
)
"""In the order in which they are measured."""


def all_keys(groups: Iterable[Group] = GROUPS) -> dict[str, Key]:
    """Every key by its name."""
    return {key.name: key for group in groups for key in group.keys}


def check_keys(names: Iterable[str], groups: Iterable[Group] = GROUPS) -> frozenset[str]:
    """`names` themselves; all where there are none.

    Raises:
        InvalidOptionError: one is unknown; the message lists what there is.
    """
    known = all_keys(groups)
    wanted = frozenset(names) or frozenset(known)
    if unknown := sorted(wanted - known.keys()):
        raise InvalidOptionError(f"no figure is called {', '.join(unknown)}; there are {', '.join(known)}")
    return wanted
