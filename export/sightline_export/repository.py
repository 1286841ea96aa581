"""Writes a detector's three models into a Triton model repository, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError
from sightline.preprocessing import Preprocessing

from .config import (
    CONFIG_FILE,
    WARMUP_JPEG,
    WARMUP_SHAPE,
    ensemble_config,
    network_config,
    parse,
    preprocessing_config,
    render,
)
from .group_config import groups_with, is_group
from .pictures import warmup_jpeg, warmup_shape
from .pixel_limit import LimitChange, detectors_behind, standing_limit
from .preprocessing import render_dali
from .repository_lock import locked
from .schedule import Schedule
from .transaction import FolderTransaction, size_on_disk
from .tuned import described, standing_schedule

_PLACEHOLDER = ".gitkeep"
"""Holds the ensemble's version folder, which has no file of its own and which Triton wants, in git."""


@dataclass(frozen=True)
class InstalledDetector:
    """What stands in the repository.

    Attributes:
        ensemble: folder of the model that clients ask for.
        network: folder of its network.
        preprocessing: folder of its preprocessing.
        preprocessing_written: False where one of the same content stood there already.
        limit_change: what became of the preprocessing's limit on pixels; None where it stayed, or is the first.
        groups: the groups that it is a member of, which fit what is installed now.
        broken_groups: those of them that lack another member, and were left as they are.
        kept_settings: what `sightline tune` gave the network and the preprocessing before, and they still have, by
            model, for people.
    """

    ensemble: Path
    network: Path
    preprocessing: Path
    preprocessing_written: bool
    limit_change: LimitChange | None
    groups: tuple[str, ...] = ()
    broken_groups: tuple[str, ...] = ()
    kept_settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """Bytes of all files of the three."""
        return size_on_disk((self.ensemble, self.network, self.preprocessing))


def install_detector(
    repository: Path, name: str, model: bytes, info: DetectorInfo, *, max_pixels: int | None = None
) -> InstalledDetector:
    """Write the preprocessing, `NAME_net` and `NAME`; whatever goes wrong, what stood there stays as it was.

    A preprocessing model of other content is replaced, also for the other detectors that use it. Groups that the
    detector is a member of are written anew with it, so that they take what it gives now. What others install
    into the repository at the same time comes before or after, where it can be locked: see `locked`. Settings that
    `sightline tune` gave the network and the preprocessing are kept.

    Args:
        repository: folder of models; made if it is missing.
        name: the detector's name.
        model: its ONNX graph.
        info: what it tells about itself.
        max_pixels: largest width x height that its preprocessing decodes, also for those other detectors; None keeps
            the limit that stands there, else `contract.DEFAULT_MAX_PIXELS`.

    Raises:
        InvalidOptionError: the name is not allowed.
        ExportError: something else stands at that name, a group for one, or the folder cannot be written.
    """
    contract.check_model_name(name)
    preprocessing = info.preprocessing.model_name
    network = contract.network_name(name)
    try:
        repository.mkdir(parents=True, exist_ok=True)
        with locked(repository):
            check_free(repository, name)
            _check_ours(repository / preprocessing)
            before = standing_limit(repository, preprocessing)
            now = max_pixels or before or contract.DEFAULT_MAX_PIXELS
            others = tuple(other for other in detectors_behind(repository, preprocessing) if other != name)
            schedules = {model: standing_schedule(repository, model) for model in (preprocessing, network)}
            files = _preprocessing_files(info.preprocessing, now, schedules[preprocessing])
            fresh = not _holds(repository / preprocessing, files)
            groups, broken = groups_with(repository, name, info)
            with FolderTransaction(repository) as transaction:
                # What others depend on goes first.
                if fresh:
                    write_files(transaction.new(preprocessing), files)
                write_files(transaction.new(network), _network_files(name, info, model, schedules[network]))
                write_files(transaction.new(name), ensemble_files(ensemble_config(detector=name, info=info)))
                for group, config in groups.items():
                    write_files(transaction.new(group), ensemble_files(config))
    except OSError as error:
        raise ExportError(
            f"cannot write into the model repository {repository}: {error}; nothing was changed. "
            "Choose another folder with --repository"
        ) from error
    change = None
    if before is not None and now != before:
        change = LimitChange(model=preprocessing, before=before, now=now, others=others)
    return InstalledDetector(
        ensemble=repository / name,
        network=repository / network,
        preprocessing=repository / preprocessing,
        preprocessing_written=fresh,
        limit_change=change,
        groups=tuple(groups),
        broken_groups=tuple(broken),
        kept_settings={model: words for model, schedule in schedules.items() if (words := described(model, schedule))},
    )


def check_free(repository: Path, name: str) -> None:
    """Accept a repository where an export may write the detector `name`.

    Raises:
        ExportError: a group, or something that no export wrote, stands at that name.
    """
    if is_group(repository / name):
        raise ExportError(
            f"{repository / name} is a group of detectors and is left alone; choose another name with --name, or "
            f"remove the group: sightline group {name} --remove --repository {repository}"
        )
    for part in (name, contract.network_name(name)):
        _check_ours(repository / part)


def _preprocessing_files(preprocessing: Preprocessing, max_pixels: int, schedule: Schedule) -> dict[str, bytes]:
    jpeg = warmup_jpeg()
    config = preprocessing_config(preprocessing, max_pixels=max_pixels, warmup_jpeg_bytes=len(jpeg), schedule=schedule)
    return {
        CONFIG_FILE: render(config).encode(),
        f"{contract.MODEL_VERSION}/{contract.DALI_FILE}": render_dali(preprocessing).encode(),
        f"{contract.WARMUP_FOLDER}/{WARMUP_JPEG}": jpeg,
    }


def _network_files(name: str, info: DetectorInfo, model: bytes, schedule: Schedule) -> dict[str, bytes]:
    return {
        CONFIG_FILE: render(network_config(detector=name, info=info, schedule=schedule)).encode(),
        f"{contract.MODEL_VERSION}/{contract.ONNX_FILE}": model,
        f"{contract.WARMUP_FOLDER}/{WARMUP_SHAPE}": warmup_shape(),
    }


def ensemble_files(config: pb.ModelConfig) -> dict[str, bytes]:
    """All files of an ensemble's folder."""
    return {
        CONFIG_FILE: render(config).encode(),
        f"{contract.MODEL_VERSION}/{_PLACEHOLDER}": b"",
    }


def write_files(folder: Path, files: dict[str, bytes]) -> None:
    """Write files into a folder that exists, by their names there."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    """Whether the folder has these files with this content; bytecode that Python left beside them does not count."""
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    return there == set(files) and all((folder / name).read_bytes() == content for name, content in files.items())


def _check_ours(folder: Path) -> None:
    """Refuse to replace what no export wrote.

    Raises:
        ExportError: a file, or a folder without a configuration of ours.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    config = folder / CONFIG_FILE
    try:
        ours = any(name.startswith(contract.PARAMETER_PREFIX) for name in parse(config.read_text()).parameters)
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        ours = False
    if not ours:
        raise ExportError(
            f"{folder} was not written by `sightline export` and is left alone; choose another name with --name, or "
            "move it away"
        )
