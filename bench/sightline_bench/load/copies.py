"""One detector under several names in one repository."""

from __future__ import annotations

import shutil
from pathlib import Path

from google.protobuf import text_format

from sightline.contract import network_name
from sightline_export.config import CONFIG_FILE, parse


def write_copies(source: Path, model: str, target: Path, names: list[str]) -> None:
    """A repository with the detector `model` of `source` under each of `names`; they share its preprocessing.

    Args:
        source: a repository.
        model: a detector in it.
        target: folder of the new one; made if it is missing.
        names: of the copies.
    """
    ensemble = parse((source / model / CONFIG_FILE).read_text(encoding="utf-8"))
    parts = [step.model_name for step in ensemble.ensemble_scheduling.step]
    for name in names:
        renamed = {model: name, network_name(model): network_name(name)}
        for part in (*parts, model):
            place = target / renamed.get(part, part)
            if not place.exists():
                shutil.copytree(source / part, place)
                _rename(place / CONFIG_FILE, renamed)


def _rename(file: Path, renamed: dict[str, str]) -> None:
    config = parse(file.read_text(encoding="utf-8"))
    config.name = renamed.get(config.name, config.name)
    for step in config.ensemble_scheduling.step:
        step.model_name = renamed.get(step.model_name, step.model_name)
    file.write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")
