"""The rows that were run, in a file that grows row by row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class Results:
    """Measurements by row name, kept in a JSON file.

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
        """Keep a row's measurement."""
        self._measured[name] = measured
        part = self._file.with_name(self._file.name + ".part")
        part.write_text(json.dumps(self._measured, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        part.rename(self._file)
