"""Environment variables by which the launcher speaks to the stand-in backends, which run in processes of their own."""

from __future__ import annotations

import os
from pathlib import Path

RUN_FOLDER = "SIGHTLINE_RUN_FOLDER"
"""The run's private folder: what the backends write there, the launcher removes."""
ISOLATE_IMAGES = "SIGHTLINE_ISOLATE_IMAGES"
"""`0`: one undecodable image fails its whole batch, as in the native DALI backend; anything else: only itself."""


def run_folder() -> Path | None:
    """The run's private folder, or None in a process that the launcher did not start."""
    value = os.environ.get(RUN_FOLDER)
    return Path(value) if value else None


def isolate_images() -> bool:
    """Whether an undecodable image fails alone."""
    return os.environ.get(ISOLATE_IMAGES, "1") != "0"
