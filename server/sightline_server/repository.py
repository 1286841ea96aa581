"""What the launcher looks at in a model repository: whether there is one, and where a failed model's files are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from sightline.errors import LaunchError
from sightline_server.log import ModelFailure

CONFIG_FILE = "config.pbtxt"
_BACKEND = re.compile(r'^backend:\s*"([^"]+)"', re.MULTILINE)
_STEP = re.compile(r'\bmodel_name:\s*"([^"]+)"')
_FILENAME = re.compile(r'^default_model_filename:\s*"([^"]+)"', re.MULTILINE)


def model_names(repository: Path) -> list[str]:
    """Names of the models in the repository, sorted."""
    return sorted(folder.parent.name for folder in repository.glob(f"*/{CONFIG_FILE}"))


def check_repository(repository: Path, models: Sequence[str]) -> None:
    """Accept a folder that holds at least one model, and all of `models`.

    Raises:
        LaunchError: it does not.
    """
    if not repository.is_dir():
        raise LaunchError(f"model repository {str(repository)!r} is not a folder: `sightline export` makes one")
    present = model_names(repository)
    if not present:
        raise LaunchError(
            f"model repository {str(repository)!r} holds no model (no NAME/{CONFIG_FILE}): `sightline export` adds one"
        )
    absent = sorted(set(models) - set(present))
    if absent:
        raise LaunchError(
            f"model repository {str(repository)!r} has no model {', '.join(map(repr, absent))}; "
            f"it has {', '.join(present)}"
        )


def with_parts(repository: Path, models: Sequence[str]) -> list[str]:
    """`models`, and those that they are ensembles of, sorted; what is not there is left to Triton to tell."""
    found: set[str] = set()
    waiting = list(models)
    while waiting:
        name = waiting.pop()
        config = repository / name / CONFIG_FILE
        if name not in found and config.is_file():
            found.add(name)
            waiting += _STEP.findall(config.read_text(encoding="utf-8", errors="replace"))
    return sorted(found)


def backend(model_folder: Path) -> str:
    """Name of the backend that a model's configuration names; empty for an ensemble, or without configuration."""
    config = model_folder / CONFIG_FILE
    if not config.is_file():
        return ""
    found = _BACKEND.search(config.read_text(encoding="utf-8", errors="replace"))
    return found[1] if found else ""


def describe_failures(repository: Path, failures: Sequence[ModelFailure]) -> str:
    """One line for each model that did not load: which, its file, the reason."""
    described = [
        f"model {failure.model!r} did not load ({_model_file(repository, failure.model)}): {failure.reason}"
        for failure in failures
    ]
    return "\n".join(described)


def _model_file(repository: Path, model: str) -> Path:
    """The file that the model's configuration names, in its newest version; without one, what comes nearest."""
    folder = repository / model
    config = folder / CONFIG_FILE
    if not config.is_file():
        return folder
    named = _FILENAME.search(config.read_text(encoding="utf-8", errors="replace"))
    versions = sorted(
        (entry for entry in folder.iterdir() if entry.name.isdecimal()), key=lambda entry: int(entry.name)
    )
    return versions[-1] / named[1] if named and versions else config
