"""Files that a command writes when its work is done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sightline.errors import InvalidOptionError, OutputError


def check_place(path: Path) -> None:
    """Refuse before the work what would fail behind it.

    Raises:
        InvalidOptionError: there is no folder to write the file into.
    """
    if not path.absolute().parent.is_dir():
        raise InvalidOptionError(f"cannot write {path}: there is no folder {path.absolute().parent}")


def write_json(path: Path, content: Any) -> None:
    """Write it for people and programs.

    Raises:
        OutputError: the file cannot be written.
    """
    from sightline.writers.files import reason_of

    try:
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason_of(error)}") from error
