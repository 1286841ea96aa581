"""The rows that were run, in a file that grows row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_LEFT_OUT = frozenset({"class_names", "classes", "evaluated", "installed", "mean_precision_at_recalls_iou_50", "model"})
"""Long lists, class by class and image by image, and what another key says already: `sightline evaluate --json` has
them."""


class Results:
    """Measurements by row name, kept in a JSON file that has a line for each row.

    Args:
        file: read if it is there; written after every row.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._measured: dict[str, dict[str, Any]] = json.loads(file.read_text("utf-8")) if file.exists() else {}

    def __contains__(self, name: str) -> bool:
        return name in self._measured

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self._measured[name]

    def add(self, name: str, measured: dict[str, Any]) -> None:
        """Keep what a reader needs to judge a row's measurement."""
        self._measured[name] = _judged_by(measured)
        lines = (f"{json.dumps(name)}: {json.dumps(each, ensure_ascii=False)}" for name, each in self._measured.items())
        part = self._file.with_name(self._file.name + ".part")
        part.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
        part.rename(self._file)


def _judged_by(measured: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _judged_by(value) if isinstance(value, dict) else value
        for key, value in measured.items()
        if key not in _LEFT_OUT
    }
