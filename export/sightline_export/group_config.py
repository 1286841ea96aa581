"""What a group of detectors looks like in a model repository, and which groups there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.contract import TensorSpec
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError
from sightline.groups import (
    format_members,
    group_batch_size,
    group_outputs,
    member_tensor,
    parse_members,
    preprocessings,
)

from .config import CONFIG_FILE, ensemble_of, parse


def group_config(name: str, members: Mapping[str, DetectorInfo]) -> pb.ModelConfig:
    """The group as clients see it: encoded bytes and a score threshold to every member's boxes.

    Triton runs the steps whose inputs are there side by side: first what decodes, once for all members that see
    pictures alike, then all networks.
    """
    config = ensemble_of(
        name,
        max_batch_size=group_batch_size(members),
        inputs=contract.ensemble_inputs(),
        outputs=group_outputs(members),
    )
    for key, value in format_members(members).items():
        config.parameters[key].string_value = value
    steps = config.ensemble_scheduling.step
    for way in preprocessings(members):
        step = steps.add(model_name=way.model_name, model_version=-1)
        step.input_map.update({spec.name: spec.name for spec in way.inputs})
        step.output_map.update({spec.name: _between(way.model_name, spec) for spec in way.outputs})
    for member, info in members.items():
        before = info.preprocessing
        step = steps.add(model_name=contract.network_name(member), model_version=-1)
        step.input_map.update(
            {
                spec.name: _between(before.model_name, spec) if spec in before.outputs else spec.name
                for spec in before.network_inputs
            }
        )
        outputs = contract.detection_outputs(info.max_detections)
        step.output_map.update({spec.name: member_tensor(member, spec).name for spec in outputs})
    return config


def _between(preprocessing: str, spec: TensorSpec) -> str:
    """Name of a tensor between steps; no output has it, since no detector is called as a preprocessing is."""
    return f"{preprocessing}.{spec.name}"


def groups_in(repository: Path) -> dict[str, tuple[str, ...]]:
    """The groups of a model repository that can be read, with the names of their members."""
    found = {}
    for file in sorted(repository.glob(f"*/{CONFIG_FILE}")):
        members = members_of(file.parent)
        if members:
            found[file.parent.name] = members
    return found


def members_of(folder: Path) -> tuple[str, ...]:
    """Members of the group in a model folder; none where it is no group, or cannot be read."""
    try:
        return parse_members(_parameters(folder)) or ()
    except (OSError, UnicodeDecodeError, text_format.ParseError, ContractMismatchError):
        return ()


def is_group(folder: Path) -> bool:
    """Whether a model folder holds a group, even one whose members cannot be read."""
    try:
        return contract.MEMBERS_PARAMETER in _parameters(folder)
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        return False


def read_infos(repository: Path, members: Sequence[str]) -> dict[str, DetectorInfo]:
    """What the members' networks tell about themselves.

    Raises:
        ContractMismatchError: one is not there, or cannot be read.
    """
    infos = {}
    for member in members:
        folder = repository / contract.network_name(member)
        try:
            infos[member] = DetectorInfo.from_parameters(_parameters(folder))
        except ContractMismatchError as error:
            raise ContractMismatchError(f"{folder}: {error}") from error
        except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
            raise ContractMismatchError(f"{folder / CONFIG_FILE} cannot be read: {error}") from error
    return infos


def groups_with(repository: Path, member: str, info: DetectorInfo) -> tuple[dict[str, pb.ModelConfig], list[str]]:
    """The groups that a detector is a member of, as they are when it tells `info`, and those that lack another one."""
    configs: dict[str, pb.ModelConfig] = {}
    broken = []
    for group, members in groups_in(repository).items():
        if member not in members:
            continue
        try:
            others = read_infos(repository, [other for other in members if other != member])
        except ContractMismatchError:
            broken.append(group)
            continue
        infos = {**others, member: info}
        configs[group] = group_config(group, {each: infos[each] for each in members})
    return configs, broken


def _parameters(folder: Path) -> dict[str, str]:
    config = parse((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    return {key: value.string_value for key, value in config.parameters.items()}
