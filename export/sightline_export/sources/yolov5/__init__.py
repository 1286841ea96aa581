"""Checkpoints of the ultralytics/yolov5 and ultralytics/yolov3 repositories, read without them.

Such a file is a pickle of that repository's own classes. Here it is read as data: `archive` finds the pickle and the
numbers, `unpickle` turns the pickle into records that cannot do anything, and `rebuild` makes layers of ours from
records whose every number was checked. `architectures` describes the same networks, to be built with random weights.
"""

from __future__ import annotations

from .load import ORIGINAL_PREFIX, RANDOM_NAMES, build_original, load_original

__all__ = ["ORIGINAL_PREFIX", "RANDOM_NAMES", "build_original", "load_original"]
