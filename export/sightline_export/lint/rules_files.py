"""Rules about folders and files: what Triton expects to find, and what does not belong."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sightline import contract
from sightline_export.lint.findings import Problem, Rule, error, warning
from sightline_export.lint.folders import (
    CONFIG_FILE,
    CUSTOM_CONFIGS_FOLDER,
    INITIAL_STATE_FOLDER,
    ModelFolder,
    Repository,
)
from sightline_export.tensorrt.manifest import MANIFEST_FILE

GITKEEP = ".gitkeep"
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_KNOWN_FILES = (contract.ONNX_FILE, contract.DALI_FILE, contract.TENSORRT_FILE, "model.dali", "model.py")
_DOCUMENTS = {".md", ".txt", ".rst"}
_CACHE_FOLDER = "__pycache__"


def _config_missing(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.config_path.exists():
        return
    if any(model.path.glob("previous/*")):
        fix = "an export was killed: move back what is missing here from its folder previous/, then delete it"
    elif model.name.startswith((".", "_", "~")):
        fix = "delete the folder: it is left over from an editor or an interrupted program"
    else:
        fix = "export the model again, or move the folder out of the repository"
    message = f"folder {model.name!r} has no {CONFIG_FILE}; Triton takes every subfolder for a model and cannot load it"
    yield error(model.path, message, fix)


def _version_folder(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    wanted = list(model.config.version_policy.specific.versions)
    absent = [version for version in wanted if version not in model.versions]
    if absent:
        message = f"version_policy asks for version {', '.join(map(str, absent))}, whose folder is not there"
        fix = f"create {model.name}/{absent[0]}/ or take the version out of version_policy"
        yield error(model.config_path, message, fix, model.line_of("version_policy", "specific"))
    elif not model.versions:
        folder = f"{model.name}/{contract.MODEL_VERSION}/"
        also = f" holding an empty {GITKEEP}, because git drops empty folders" if model.is_ensemble else ""
        ignored = [entry.name for entry in model.path.iterdir() if entry.name.isdecimal()]
        why = f" (Triton ignores {ignored[0]!r}: a version has no leading zeros)" if ignored else ""
        yield error(
            model.path, f"there is no version folder, so there is nothing to load{why}", f"create {folder}{also}"
        )


def _gitkeep(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for version in model.versions if model.is_ensemble else ():
        folder = model.path / str(version)
        if not any(folder.iterdir()):
            message = "the version folder is empty: git will drop it, and the ensemble will not load from a clone"
            yield warning(folder, message, f"touch {model.name}/{version}/{GITKEEP}")


def _model_file(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    """The named file is not there; `_default_model_filename` speaks where a file of another name is."""
    for folder in _folders_without_file(model):
        if _other_model_file(model, folder) is None:
            message = f"{model.model_filename} is missing, which the {model.backend} backend loads"
            yield error(folder / model.model_filename, message, "export the model again, or copy the file here")


def _default_model_filename(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for folder in _folders_without_file(model):
        other = _other_model_file(model, folder)
        if other is not None:
            message = f"the model file is called {other}, but {model.model_filename} will be loaded"
            fix = f'write default_model_filename: "{other}", or rename the file'
            yield error(model.config_path, message, fix, model.line_of("default_model_filename"))


def _folders_without_file(model: ModelFolder) -> Iterator[Path]:
    if model.is_ensemble or not model.model_filename:
        return
    for version in model.served_versions:
        folder = model.path / str(version)
        if not (folder / model.model_filename).exists():
            yield folder


def _other_model_file(model: ModelFolder, folder: Path) -> str | None:
    suffix = Path(model.model_filename).suffix
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    return next((name for name in names if name in _KNOWN_FILES or Path(name).suffix == suffix), None)


def _not_the_content(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for path in model.model_files:
        start = _first_bytes(path, len(_LFS_POINTER))
        if start == b"":
            yield error(path, "the model file is empty", "export the model again, or copy the file anew")
        elif start == _LFS_POINTER:
            yield error(path, "this is a Git LFS pointer, not the model", "run: git lfs pull")


def _first_bytes(path: Path, count: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(count)
    except PermissionError:
        return b"?"  # not empty; `_unreadable` reports it


def _unreadable(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if os.name != "posix":
        return
    for path in (model.path, *sorted(model.path.rglob("*"))):
        if path.is_symlink() and not path.exists():
            continue
        mode = path.stat().st_mode
        needed = stat.S_IROTH | stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
        if mode & needed != needed:
            message = (
                f"other users may not read this (mode {stat.S_IMODE(mode):03o}); a container's user is another user"
            )
            yield warning(path, message, f"chmod -R o+rX {model.name}")
            return


def _link_outside(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    root = repository.path.resolve()
    for path in (model.path, *sorted(model.path.rglob("*"))):
        if not path.is_symlink():
            continue
        if not path.exists():
            yield error(path, "the symbolic link points to nothing", "replace it with the file that it should be")
        elif not path.resolve().is_relative_to(root):
            message = "the symbolic link leaves the repository, so that a container that mounts it sees nothing there"
            yield warning(path, message, "replace the link with a copy")


def _stray_file(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    known = _known_in_model_folder(model)
    for entry in sorted(model.path.iterdir()):
        if entry.name not in known and entry.suffix not in _DOCUMENTS and not entry.name.isdecimal():
            yield _stray(entry, model)
    for version in model.versions:
        known = {model.model_filename, GITKEEP, _CACHE_FOLDER, *_external_files(model), *_beside_plan(model)}
        for entry in sorted((model.path / str(version)).iterdir()):
            # A missing model file has its own rule, which names this one.
            mistaken = entry.name in _KNOWN_FILES and not (entry.parent / model.model_filename).exists()
            if entry.name not in known and not mistaken:
                yield _stray(entry, model)


def _known_in_model_folder(model: ModelFolder) -> set[str]:
    labels = {output.label_filename for output in model.config.output}
    folders = {contract.WARMUP_FOLDER, INITIAL_STATE_FOLDER, CUSTOM_CONFIGS_FOLDER, *map(str, model.versions)}
    return {CONFIG_FILE, GITKEEP, *labels, *folders}


def _external_files(model: ModelFolder) -> set[str]:
    return {name for graph in model.onnx_graphs.values() if graph.proto is not None for name in graph.external_files}


def _beside_plan(model: ModelFolder) -> set[str]:
    return {MANIFEST_FILE} if model.backend == contract.TENSORRT_BACKEND else set()


def _stray(path: Path, model: ModelFolder) -> Problem:
    return warning(path, "nothing uses this", f"delete it, or keep it outside {model.name}/")


RULES = (
    Rule("config-missing", _config_missing, needs_config=False),
    Rule("unreadable", _unreadable, needs_config=False),
    Rule("link-outside", _link_outside, needs_config=False),
    Rule("version-folder", _version_folder),
    Rule("gitkeep", _gitkeep),
    Rule("model-file", _model_file),
    Rule("default-model-filename", _default_model_filename),
    Rule("not-the-content", _not_the_content),
    Rule("stray-file", _stray_file),
)
