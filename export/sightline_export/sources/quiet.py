"""Ultralytics without its side effects: no packages installed, no settings written, no messages, no telemetry."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sightline.errors import MissingDependencyError

from .versions import explained

_VARIABLES = {
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "YOLO_OFFLINE": "true",
}
"""Read by Ultralytics when it is imported. Offline stops its look for updates and its telemetry."""


def import_ultralytics() -> Any:
    """The package `ultralytics`, with `ultralytics.nn.tasks`.

    Where this is the process's first import of it, it is kept from installing packages, from printing, and from
    writing settings into the user's folder; an Ultralytics that the caller imported before keeps its own ways.

    Raises:
        MissingDependencyError: it is not installed.
        UnsupportedVersionError: its version is not a tested one, and it cannot be imported.
    """
    with quietly():
        try:
            importlib.import_module("ultralytics.nn.tasks")
        except ImportError as error:
            missing = f"Ultralytics checkpoints need the export extra ({error}): `make install` in a checkout"
            raise explained(MissingDependencyError(missing)) from error
    return sys.modules["ultralytics"]


@contextmanager
def quietly() -> Iterator[None]:
    """What is imported inside keeps its hands off the user's settings and packages, and off the network."""
    with tempfile.TemporaryDirectory(prefix="sightline-ultralytics-") as settings, _environment(settings):
        yield


@contextmanager
def _environment(settings_folder: str) -> Iterator[None]:
    """Variables that stand only inside; what the user set himself wins."""
    values = {**_VARIABLES, "YOLO_CONFIG_DIR": settings_folder}
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
