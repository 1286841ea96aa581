"""What a served model's configuration says about the detector."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tritonclient.grpc import model_config_pb2 as pb

from sightline.contract import TensorSpec, detection_outputs, ensemble_inputs, network_name
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline.groups import group_outputs, parse_members


@dataclass(frozen=True)
class ServedDetector:
    """A detector as clients need to know it.

    Attributes:
        name: name of the model.
        info: what it tells about itself.
        max_batch_size: images that one request may hold.
    """

    name: str
    info: DetectorInfo
    max_batch_size: int

    @property
    def members(self) -> Mapping[str, DetectorInfo]:
        """The detector itself, by its name."""
        return {self.name: self.info}


@dataclass(frozen=True)
class ServedGroup:
    """A group as clients need to know it.

    Attributes:
        name: name of the model.
        members: what each member tells about itself, by name, in the group's order.
        max_batch_size: images that one request may hold.
    """

    name: str
    members: Mapping[str, DetectorInfo]
    max_batch_size: int

    @property
    def info(self) -> DetectorInfo:
        """A group has none of its own.

        Raises:
            InvalidOptionError: always.
        """
        raise InvalidOptionError(
            f"model {self.name!r} is a group: name one of its members ({', '.join(self.members)}), where they are "
            "served under their own names too, for what is a single detector's: tiles, an evaluation, a description"
        )


Served = ServedDetector | ServedGroup


def read_served(config: pb.ModelConfig, read_config: Callable[[str], pb.ModelConfig]) -> Served:
    """The detector or group that a model configuration describes.

    Args:
        config: the model's.
        read_config: asks for the configuration of another model, by name: those of a group's networks.

    Raises:
        ContractMismatchError: it is another kind of model, of another contract version, or a group whose members are
            not what they were when it was made.
    """
    try:
        names = parse_members(_parameters(config))
    except ContractMismatchError as error:
        raise ContractMismatchError(f"model {config.name!r}: {error}") from error
    if names is None:
        return read_detector(config)
    return _read_group(config, {name: read_config(network_name(name)) for name in names})


def _read_group(config: pb.ModelConfig, networks: Mapping[str, pb.ModelConfig]) -> ServedGroup:
    members: dict[str, DetectorInfo] = {}
    for name, network in networks.items():
        try:
            members[name] = DetectorInfo.from_parameters(_parameters(network))
        except ContractMismatchError as error:
            raise ContractMismatchError(f"model {config.name!r}, member {name!r}: {error}") from error
        _check_pictures(config, name, members[name])
    for spec in (*ensemble_inputs(), *group_outputs(members)):
        _check_tensor(config, spec, again=_GROUP_AGAIN)
    return ServedGroup(config.name, members, config.max_batch_size)


_EXPORT_AGAIN = "export it again with `sightline export`"
_GROUP_AGAIN = "a member was replaced since; make the group again with `sightline group`"


def _check_pictures(config: pb.ModelConfig, member: str, info: DetectorInfo) -> None:
    """Pictures of the right size that were made in another way would put every box in the wrong place."""
    steps = {step.model_name: step for step in config.ensemble_scheduling.step}
    network, before = steps.get(network_name(member)), steps.get(info.preprocessing.model_name)
    made = set(before.output_map.values()) if before is not None else set()
    pictures = network.input_map.get(info.preprocessing.images.name) if network is not None else None
    if pictures not in made:
        raise ContractMismatchError(
            f"model {config.name!r} does not give member {member!r} the pictures of {info.preprocessing.model_name} "
            f"that it was made for: {_GROUP_AGAIN}"
        )


def read_detector(config: pb.ModelConfig) -> ServedDetector:
    """The detector that a model configuration describes.

    Raises:
        ContractMismatchError: it is another kind of model, or of another contract version.
    """
    wanted = {spec.name for spec in ensemble_inputs()}
    came = {tensor.name for tensor in config.input}
    if came != wanted:
        raise ContractMismatchError(
            f"model {config.name!r} is not a Sightline detector: it takes {_listed(came)}, a detector takes "
            f"{_listed(wanted)}; name a detector (`sightline models` lists them) or make one with `sightline export`"
        )
    try:
        info = DetectorInfo.from_parameters(_parameters(config))
    except ContractMismatchError as error:
        raise ContractMismatchError(f"model {config.name!r}: {error}") from error
    for spec in (*ensemble_inputs(), *detection_outputs(info.max_detections)):
        _check_tensor(config, spec, again=_EXPORT_AGAIN)
    if config.max_batch_size < 1:
        raise ContractMismatchError(f"model {config.name!r} takes no batches: export it again with `sightline export`")
    return ServedDetector(config.name, info, config.max_batch_size)


def _parameters(config: pb.ModelConfig) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}


def _check_tensor(config: pb.ModelConfig, spec: TensorSpec, *, again: str) -> None:
    tensors = {tensor.name: tensor for tensor in (*config.input, *config.output)}
    tensor = tensors.get(spec.name)
    came = None if tensor is None else (pb.DataType.Name(tensor.data_type).removeprefix("TYPE_"), tuple(tensor.dims))
    if came != (spec.datatype, spec.dims):
        raise ContractMismatchError(
            f"model {config.name!r} has {spec.name!r} as {came or 'nothing'}, the contract as "
            f"{(spec.datatype, spec.dims)}: {again}"
        )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
