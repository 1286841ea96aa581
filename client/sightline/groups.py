"""Groups: several detectors that are served as one model, and what such a model looks like from outside.

A group takes what a detector takes. Pictures are decoded and brought to size once for all members that see them alike,
the members' networks run side by side, and each has its outputs under its own name: `yolov8n.boxes`. What the members
are, their networks tell (`NAME_net`); the group itself names them and nothing else, so that it is never out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from sightline.contract import (
    CONTRACT_VERSION,
    CONTRACT_VERSION_PARAMETER,
    MEMBERS_PARAMETER,
    TensorSpec,
    check_contract_version,
    detection_outputs,
)
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline.preprocessing import Preprocessing

LEAST_MEMBERS = 2


def member_tensor(member: str, spec: TensorSpec) -> TensorSpec:
    """A detector's output as its group gives it; the part behind the last `.` is the detector's own name for it."""
    return replace(spec, name=f"{member}.{spec.name}")


def group_outputs(members: Mapping[str, DetectorInfo]) -> tuple[TensorSpec, ...]:
    """Outputs of the group, member by member."""
    return tuple(
        member_tensor(member, spec)
        for member, info in members.items()
        for spec in detection_outputs(info.max_detections)
    )


def group_batch_size(members: Mapping[str, DetectorInfo]) -> int:
    """Images that one request to the group may hold: what every member can take."""
    return min(info.preprocessing.max_batch_size for info in members.values())


def preprocessings(members: Mapping[str, DetectorInfo]) -> dict[Preprocessing, tuple[str, ...]]:
    """The ways in which the members see pictures, each of which decodes by itself, and who shares them."""
    ways = {info.preprocessing: None for info in members.values()}
    return {way: tuple(name for name, info in members.items() if info.preprocessing == way) for way in ways}


def check_members(names: Sequence[str]) -> tuple[str, ...]:
    """`names` themselves if they can make a group.

    Raises:
        InvalidOptionError: fewer than two, or one stands twice.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidOptionError(f"{twice!r} is named twice; a detector can be in a group once")
    if len(names) < LEAST_MEMBERS:
        raise InvalidOptionError(
            f"a group of {', '.join(names) or 'nothing'} is none: name at least {LEAST_MEMBERS} detectors; one alone "
            "is served under its own name"
        )
    return tuple(names)


def format_members(names: Iterable[str]) -> dict[str, str]:
    """Values for `parameters` of the group's `config.pbtxt`, by full name."""
    return {CONTRACT_VERSION_PARAMETER: str(CONTRACT_VERSION), MEMBERS_PARAMETER: json.dumps(list(names))}


def parse_members(parameters: Mapping[str, str]) -> tuple[str, ...] | None:
    """The reverse of `format_members`; None for a model that is no group.

    Raises:
        ContractMismatchError: the members cannot be read, or are those of another contract version.
    """
    if MEMBERS_PARAMETER not in parameters:
        return None
    check_contract_version(parameters, again="make the group again with `sightline group`")
    try:
        names = json.loads(parameters[MEMBERS_PARAMETER])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InvalidOptionError("they are no list of names")
        return check_members(names)
    except ValueError as error:
        raise ContractMismatchError(
            f"the group's members cannot be read from {MEMBERS_PARAMETER}: {error}; make it again with "
            "`sightline group`"
        ) from error
