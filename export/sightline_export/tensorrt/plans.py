"""The repository of plans: new versions, the switch to one of them, the way back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError, InvalidOptionError
from sightline_export.config import (
    CONFIG_FILE,
    WARMUP_JPEG,
    WARMUP_SHAPE,
    ensemble_config,
    preprocessing_config,
    render,
)
from sightline_export.group_config import groups_with
from sightline_export.pixel_limit import standing_limit
from sightline_export.preprocessing import render_dali

from .manifest import (
    MANIFEST_FILE,
    PLAN_FILE,
    Manifest,
    PlanError,
    file_sha256,
    planned_models,
    read_manifest,
    served_version,
    version_folders,
)
from .plan_config import plan_config
from .sources import Source
from .switch import TEMPORARY_PREFIX, make_folder, opened, replace_files, write_atomically

_INCOMING, _OUTGOING = f"{TEMPORARY_PREFIX}incoming", f"{TEMPORARY_PREFIX}outgoing"
_KEPT_EMPTY = ".gitkeep"


@dataclass(frozen=True, kw_only=True)
class PlanVersion:
    """One version of a network in the repository of plans.

    Attributes:
        detector: the detector's name.
        version: number of its folder.
        served: whether Triton is told to serve it.
        manifest: what it is; None where that cannot be read.
    """

    detector: str
    version: int
    served: bool
    manifest: Manifest | None


def list_plans(plans: Path) -> Iterator[PlanVersion]:
    """Every version of every network, by name and number."""
    for model in planned_models(plans) if plans.is_dir() else ():
        detector = model.name.removesuffix(contract.NETWORK_SUFFIX)
        served = served_version(model)
        for version, folder in version_folders(model).items():
            yield PlanVersion(
                detector=detector, version=version, served=version == served, manifest=_manifest_or_none(folder)
            )


@dataclass(frozen=True)
class NewPlan:
    """What becomes a version.

    Attributes:
        file: the plan, anywhere.
        manifest: of it.
        shared: files of other models that the detector needs, by their paths in the repository; see `shared_files`.
    """

    file: Path
    manifest: Manifest
    shared: Mapping[str, bytes]


def install_plan(plans: Path, detector: str, new: NewPlan, *, keep: int) -> int:
    """Put a plan into the repository as a new version and switch to it; gives its number.

    Whatever goes wrong, and wherever the process is killed, Triton is told to serve what it was told before, or the new
    version with all that belongs to it.

    Args:
        plans: the repository; made if it is missing.
        detector: the detector's name.
        new: the plan.
        keep: versions that stay, the new one among them.

    Raises:
        OSError: the repository cannot be written.
    """
    with opened(plans):
        model = plans / contract.network_name(detector)
        version = max(version_folders(model), default=0) + 1 if model.is_dir() else 1
        incoming = model / _INCOMING
        try:
            make_folder(incoming)
            write_atomically(incoming / MANIFEST_FILE, new.manifest.to_json().encode())
            _copy(new.file, incoming / PLAN_FILE)
            incoming.rename(model / str(version))
        except BaseException:
            shutil.rmtree(incoming, ignore_errors=True)
            if model.is_dir() and not any(model.iterdir()):
                model.rmdir()
            raise
        _serve(plans, detector, version, new.shared)
        _prune(model, keep=keep)
    return version


def serve_plan(plans: Path, detector: str, version: int, info: DetectorInfo, shared: Mapping[str, bytes]) -> None:
    """Switch to a version that is there, or give the served one's models what has changed but for the plan.

    Args:
        plans: the repository.
        detector: the detector's name.
        version: the version.
        info: what the detector tells about itself now.
        shared: as in `NewPlan`.

    Raises:
        PlanError: its manifest cannot be read.
        OSError: the repository cannot be written.
    """
    with opened(plans):
        folder = plans / contract.network_name(detector) / str(version)
        manifest = read_manifest(folder)
        if (now := replace(manifest, parameters=info.to_parameters())) != manifest:
            write_atomically(folder / MANIFEST_FILE, now.to_json().encode())
        _serve(plans, detector, version, shared)


def _serve(plans: Path, detector: str, version: int, shared: Mapping[str, bytes] | None = None) -> None:
    """Switch an opened repository to a version that is there; its ensemble and its groups become that version's."""
    network = contract.network_name(detector)
    info = DetectorInfo.from_parameters(read_manifest(plans / network / str(version)).parameters)
    groups, _ = groups_with(plans, detector, info)
    replace_files(
        plans,
        {
            **(shared or {}),
            f"{detector}/{contract.MODEL_VERSION}/{_KEPT_EMPTY}": b"",
            f"{network}/{CONFIG_FILE}": render(plan_config(detector=detector, info=info, version=version)).encode(),
            f"{detector}/{CONFIG_FILE}": render(ensemble_config(detector=detector, info=info)).encode(),
            **{f"{group}/{CONFIG_FILE}": render(config).encode() for group, config in groups.items()},
        },
    )


def roll_back(plans: Path, detector: str, *, to: int | None = None) -> PlanVersion:
    """Serve an older version again, and let builds leave it so until there is something new to build.

    Args:
        plans: the repository.
        detector: the detector's name.
        to: the version; None takes the newest one below that which is served.

    Raises:
        InvalidOptionError: there is no such detector or version.
        ExportError: that version's manifest cannot be read.
        OSError: the repository cannot be written.
    """
    network = contract.network_name(detector)
    if not (plans / network / CONFIG_FILE).is_file():
        known = sorted({plan.detector for plan in list_plans(plans)})
        raise InvalidOptionError(f"{plans} has no plan of {detector!r}; it has {', '.join(known) or 'none at all'}")
    with opened(plans):
        there = {plan.version: plan for plan in list_plans(plans) if plan.detector == detector}
        served = served_version(plans / network) or 0
        older = [version for version in there if version < served]
        wanted = to if to is not None else max(older, default=None)
        if wanted not in there:
            what = "older version" if to is None else f"version {to}"
            raise InvalidOptionError(
                f"{detector} has no {what}: it has {', '.join(map(str, there)) or 'none'}, and serves {served}"
            )
        manifest = there[wanted].manifest
        if manifest is None:
            raise ExportError(f"version {wanted} of {detector} has no manifest that can be read; choose with --to")
        # Together with the switch: without the marks, the next build would undo it.
        marked = {
            f"{network}/{version}/{MANIFEST_FILE}": replace(known, rolled_back=version > wanted).to_json().encode()
            for version, known in ((version, plan.manifest) for version, plan in there.items())
            if known is not None
        }
        _serve(plans, detector, wanted, marked)
    return replace(there[wanted], served=True)


def outdated(plans: Path, repository: Path) -> list[str]:
    """Served plans that were built from another ONNX file than stands in the model repository now, one message each."""
    found = []
    for plan in list_plans(plans):
        network = contract.network_name(plan.detector)
        onnx = repository / network / str(contract.MODEL_VERSION) / contract.ONNX_FILE
        if plan.served and plan.manifest and onnx.is_file() and file_sha256(onnx) != plan.manifest.onnx_sha256:
            found.append(f"{network} version {plan.version}: it was built from another file than {onnx}")
    return found


def _manifest_or_none(folder: Path) -> Manifest | None:
    try:
        return read_manifest(folder)
    except PlanError:
        return None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reading, target.open("wb") as writing:
        shutil.copyfileobj(reading, writing, 1 << 20)
        writing.flush()
        os.fsync(writing.fileno())
    target.chmod(0o644)


def _prune(model: Path, *, keep: int) -> None:
    """Remove the oldest versions, never the served one."""
    served, folders = served_version(model), version_folders(model)
    unserved = [version for version in folders if version != served]
    for version in unserved[: max(0, len(folders) - keep)]:
        folders[version].rename(model / _OUTGOING)
        shutil.rmtree(model / _OUTGOING)


def shared_files(source: Source, info: DetectorInfo) -> dict[str, bytes]:
    """What a detector needs beside its plan, by paths in the repository: its preprocessing, and the warm-up's shape.

    Args:
        source: the detector in the model repository.
        info: what its plan tells about itself, which may be brought to size in another way.

    Raises:
        OSError: it cannot be read.
    """
    repository = source.repository
    preprocessing = repository / source.info.preprocessing.model_name
    names = [path for path in preprocessing.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    network = contract.network_name(source.name)
    names.append(repository / network / contract.WARMUP_FOLDER / WARMUP_SHAPE)
    files = {path.relative_to(repository).as_posix(): path.read_bytes() for path in names}
    if info.preprocessing != source.info.preprocessing:
        files = {**files, **_other_preprocessing(files, source, info)}
        files = {name: content for name, content in files.items() if not name.startswith(f"{preprocessing.name}/")}
    # The configuration last: with it, the folder is a model.
    return dict(sorted(files.items(), key=lambda item: (item[0].endswith(f"/{CONFIG_FILE}"), item[0])))


def _other_preprocessing(files: Mapping[str, bytes], source: Source, info: DetectorInfo) -> dict[str, bytes]:
    """The preprocessing of `info` in place of the source's own: with its limit on pixels and its warm-up picture."""
    before, now = source.info.preprocessing.model_name, info.preprocessing
    jpeg = files[f"{before}/{contract.WARMUP_FOLDER}/{WARMUP_JPEG}"]
    limit = standing_limit(source.repository, before) or contract.DEFAULT_MAX_PIXELS
    config = preprocessing_config(now, max_pixels=limit, warmup_jpeg_bytes=len(jpeg))
    return {
        f"{now.model_name}/{contract.MODEL_VERSION}/{contract.DALI_FILE}": render_dali(now).encode(),
        f"{now.model_name}/{contract.WARMUP_FOLDER}/{WARMUP_JPEG}": jpeg,
        f"{now.model_name}/{CONFIG_FILE}": render(config).encode(),
    }
