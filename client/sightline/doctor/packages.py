"""Which of our packages and extras are installed, from their metadata: nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib import metadata

DISTRIBUTION = "sightline"
_REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_EXTRA = re.compile(r"extra\s*==\s*['\"]([A-Za-z0-9._-]+)['\"]")
_EVERYTHING = "all"
CORE = "core"
"""Stands for what is needed without any extra."""


def parse_requirements(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Package names by extra, from `Requires-Dist` lines of a distribution; those without extra under `CORE`."""
    found: dict[str, list[str]] = {}
    for line in lines:
        name, extra = _REQUIREMENT.match(line), _EXTRA.search(line)
        key = extra[1] if extra else CORE
        if name is not None and key != _EVERYTHING and name[0] != DISTRIBUTION:
            found.setdefault(key, []).append(name[0])
    return {extra: tuple(dict.fromkeys(names)) for extra, names in found.items()}


def probe_packages() -> tuple[Mapping[str, str | None], Mapping[str, tuple[str, ...]]]:
    """Version of every package that an extra asks for (None if it is not installed), and the extras."""
    try:
        extras = parse_requirements(metadata.requires(DISTRIBUTION) or [])
    except metadata.PackageNotFoundError:  # run from source without being installed
        extras = {}
    names = dict.fromkeys([DISTRIBUTION, *(name for group in extras.values() for name in group)])
    return {name: _version(name) for name in names}, extras


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
