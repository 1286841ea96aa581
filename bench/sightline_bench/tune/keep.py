"""Writes settings into `config.pbtxt`, and takes them out again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sightline.errors import OutputError
from sightline_bench.tune.detector import Detector
from sightline_export.config import CONFIG_FILE, render
from sightline_export.repository_lock import locked
from sightline_export.schedule import Schedule, set_schedule, usual_schedule


def keep(detector: Detector, schedules: Mapping[str, Schedule]) -> list[Path]:
    """Give the detector's models these schedules; the files that were changed.

    Each file is whole at every moment, and when one cannot be written those before it are as they were.

    Args:
        detector: as it was read before the search.
        schedules: by model.

    Raises:
        OutputError: a file cannot be written, or somebody changed it meanwhile.
    """
    new = {}
    for model, schedule in schedules.items():
        config = detector.config(model)
        set_schedule(config, schedule)
        if config != detector.config(model):
            new[detector.repository / model / CONFIG_FILE] = render(config)
    old = {file: detector.parts[file.parent.name] for file in new}
    try:
        with locked(detector.repository):
            _check_unchanged(old)
            _replace_all(new, old)
    except OSError as error:
        raise OutputError(f"cannot write into {detector.repository}: {error}; nothing was changed") from error
    return list(new)


def reset(detector: Detector) -> list[Path]:
    """Give the detector's models what `sightline export` gives them; the files that were changed.

    Raises:
        OutputError: as `keep`.
    """
    return keep(detector, {model: usual_schedule(model) for model in detector.parts})


def _check_unchanged(old: Mapping[Path, str]) -> None:
    for file, text in old.items():
        if file.read_text(encoding="utf-8") != text:
            raise OutputError(
                f"{file} was changed while this searched, by an export perhaps: nothing was written; tune again"
            )


def _replace_all(new: Mapping[Path, str], old: Mapping[Path, str]) -> None:
    done: list[Path] = []
    try:
        for file, text in new.items():
            _replace(file, text)
            done.append(file)
    except OSError:
        for file in done:
            _replace(file, old[file])
        raise


def _replace(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.chmod(file.stat().st_mode)
        draft.replace(file)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
