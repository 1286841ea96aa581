"""Makes and removes groups: several detectors of a model repository that are served as one model."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, ExportError, InvalidOptionError
from sightline.groups import check_members

from .config import CONFIG_FILE
from .group_config import group_config, is_group, read_infos
from .repository import ensemble_files, write_files
from .repository_lock import locked
from .transaction import FolderTransaction


@dataclass(frozen=True)
class InstalledGroup:
    """A group that stands in the repository.

    Attributes:
        folder: where.
        members: what each member tells about itself, by name.
        replaced: whether a group of that name stood there before.
    """

    folder: Path
    members: Mapping[str, DetectorInfo]
    replaced: bool


def install_group(repository: Path, name: str, members: Sequence[str], *, replace: bool = False) -> InstalledGroup:
    """Write the group `name` of detectors that stand in the repository; on any error nothing is changed.

    Args:
        repository: folder of models.
        name: the group's name.
        members: names of its detectors, in the order of its outputs.
        replace: whether a group of that name may be replaced.

    Raises:
        InvalidOptionError: a name is not allowed or not there, a member stands twice, or there are fewer than two.
        ExportError: the name is taken, a member cannot be read, or the folder cannot be written.
    """
    contract.check_model_name(name)
    check_members(members)
    if not repository.is_dir():
        raise InvalidOptionError(f"{repository} is no folder of models; `sightline export` makes one")
    try:
        with locked(repository):
            stands = _check_free(repository, name, replace=replace)
            infos = _read_members(repository, name, members)
            with FolderTransaction(repository) as transaction:
                write_files(transaction.new(name), ensemble_files(group_config(name, infos)))
    except OSError as error:
        raise _not_written(repository, error) from error
    return InstalledGroup(repository / name, infos, replaced=stands)


def remove_group(repository: Path, name: str) -> None:
    """Delete the group `name`; its members stay.

    Raises:
        InvalidOptionError: there is no such group.
        ExportError: the folder cannot be written.
    """
    folder = repository / name
    if not is_group(folder):
        groups = ", ".join(sorted(file.parent.name for file in _configs(repository) if is_group(file.parent)))
        what = "is no group" if folder.exists() else "is not there"
        raise InvalidOptionError(f"{folder} {what}; groups of this repository: {groups or 'none'}")
    aside = repository / f".sightline-{os.getpid()}-{name}"
    try:
        with locked(repository):
            # In one step, so that nobody meets half a model.
            folder.rename(aside)
    except OSError as error:
        raise _not_written(repository, error) from error
    try:
        shutil.rmtree(aside)
    except OSError as error:
        raise ExportError(
            f"{name} is removed, but {aside} is left over and must be deleted by hand: {error}"
        ) from error


def detectors_in(repository: Path) -> list[str]:
    """Names of the detectors that can be members, sorted."""
    suffix = contract.NETWORK_SUFFIX
    names = [
        file.parent.name.removesuffix(suffix) for file in _configs(repository) if file.parent.name.endswith(suffix)
    ]
    return sorted(name for name in names if (repository / name / CONFIG_FILE).is_file())


def _configs(repository: Path) -> list[Path]:
    return sorted(repository.glob(f"*/{CONFIG_FILE}"))


def _check_free(repository: Path, name: str, *, replace: bool) -> bool:
    """Whether a group stands at that name, which is to be replaced then.

    Raises:
        ExportError: something else does, or the group is not to be replaced.
    """
    folder = repository / name
    if is_group(folder):
        if not replace:
            raise ExportError(
                f"{folder} is there already; add --replace to make the group anew, or choose another name"
            )
        return True
    if folder.exists() or folder.is_symlink():
        what = "a detector" if name in detectors_in(repository) else "no group"
        raise ExportError(f"{folder} is {what} and is left alone; choose another name for the group")
    if (repository / contract.network_name(name)).exists():
        raise ExportError(f"{name!r} is the name of a detector's network ({name}_net); choose another for the group")
    return False


def _read_members(repository: Path, name: str, members: Sequence[str]) -> dict[str, DetectorInfo]:
    """What the members tell about themselves.

    Raises:
        InvalidOptionError: one is not a detector of the repository.
        ExportError: what it tells cannot be read.
    """
    there = detectors_in(repository)
    for member in members:
        if member == name or is_group(repository / member):
            raise InvalidOptionError(
                f"{member!r} is a group; a group's members are detectors, so name its members instead"
            )
        if member not in there:
            alike = get_close_matches(member, there, n=1)
            hint = f"; did you mean {alike[0]!r}?" if alike else ""
            raise InvalidOptionError(
                f"{repository} has no detector {member!r}{hint} (it has {', '.join(there) or 'none'}; "
                "`sightline export` adds one)"
            )
    try:
        infos = read_infos(repository, members)
    except ContractMismatchError as error:
        raise ExportError(f"{error}; `sightline check {repository}` says more") from error
    for member, info in infos.items():
        if not (repository / info.preprocessing.model_name / CONFIG_FILE).is_file():
            raise ExportError(
                f"{repository / info.preprocessing.model_name} is missing, which decodes for {member}: export it again"
            )
    return infos


def _not_written(repository: Path, error: OSError) -> ExportError:
    return ExportError(f"cannot write into the model repository {repository}: {error}; nothing was changed")
