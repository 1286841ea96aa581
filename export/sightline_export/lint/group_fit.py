"""Whether a group still fits its members, which every rule about ensembles asks before it follows their tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError
from sightline.groups import parse_members, preprocessings
from sightline_export.group_config import group_config
from sightline_export.lint.folders import ModelFolder, Repository


def members_of(model: ModelFolder) -> tuple[str, ...] | ContractMismatchError:
    """The members that a group names, or why they cannot be read."""
    try:
        return parse_members(model.parameters) or ()
    except ContractMismatchError as error:
        return error


def infos_of(model: ModelFolder, repository: Repository) -> dict[str, DetectorInfo]:
    """What those of a group's members tell about themselves that are here and can be read."""
    names = members_of(model)
    if isinstance(names, ContractMismatchError):
        return {}
    networks = {name: repository.find(contract.network_name(name)) for name in names}
    infos = {name: network.info for name, network in networks.items() if network is not None}
    return {name: info for name, info in infos.items() if isinstance(info, DetectorInfo)}


def is_part(model: ModelFolder, step: str) -> bool:
    """Whether a step of a group is a member's network, whose absence is reported as the member's."""
    names = members_of(model) if model.is_group else ()
    return not isinstance(names, ContractMismatchError) and step in map(contract.network_name, names)


def fits(model: ModelFolder, repository: Repository) -> bool:
    """Whether a model is no group, or one that is as it would be made of its members now."""
    if not model.is_group:
        return True
    names = members_of(model)
    infos = infos_of(model, repository)
    if isinstance(names, ContractMismatchError) or len(infos) < len(names):
        return False
    return not any(changes(model, infos))


def changes(model: ModelFolder, members: Mapping[str, DetectorInfo]) -> Iterator[tuple[str, str]]:
    """How a group differs from what would be made of its members now: who (empty for all), and what."""
    fresh = group_config(model.name, members)
    steps, fresh_steps = _steps(model.config), _steps(fresh)
    outputs, fresh_outputs = _outputs(model.config), _outputs(fresh)
    for name, info in members.items():
        network = contract.network_name(name)
        if steps.get(network) != fresh_steps[network]:
            yield (
                name,
                f"its network is made for the pictures of {info.preprocessing.model_name}, which it is not given",
            )
        elif outputs.get(name) != fresh_outputs[name]:
            yield name, f"it gives up to {info.max_detections} detections, which the group's outputs do not"
    if steps.keys() != fresh_steps.keys() or outputs.keys() != fresh_outputs.keys():
        odd = sorted((steps.keys() ^ fresh_steps.keys()) | (outputs.keys() ^ fresh_outputs.keys()))
        yield "", f"its steps or outputs are not those of its members: {', '.join(odd)}"
    elif any(steps[way.model_name] != fresh_steps[way.model_name] for way in preprocessings(members)):
        yield "", "a preprocessing step maps other tensors than its members take"
    elif model.config.max_batch_size > fresh.max_batch_size:
        yield (
            "",
            f"max_batch_size is {model.config.max_batch_size}, its members take {fresh.max_batch_size} images together",
        )


def _steps(config: Any) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    return {step.model_name: (dict(step.input_map), dict(step.output_map)) for step in config.ensemble_scheduling.step}


def _outputs(config: Any) -> dict[str, list[tuple[str, int, tuple[int, ...]]]]:
    """Outputs by the member whose name stands before theirs."""
    found: dict[str, list[tuple[str, int, tuple[int, ...]]]] = {}
    for tensor in config.output:
        member = tensor.name.rpartition(".")[0]
        found.setdefault(member, []).append((tensor.name, tensor.data_type, tuple(tensor.dims)))
    return {member: sorted(tensors) for member, tensors in found.items()}
