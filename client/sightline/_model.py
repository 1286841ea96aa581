"""What a served model's configuration says about the detector."""

from __future__ import annotations

from dataclasses import dataclass

from tritonclient.grpc import model_config_pb2 as pb

from sightline.contract import TensorSpec, detection_outputs, ensemble_inputs
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError


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
        info = DetectorInfo.from_parameters({key: value.string_value for key, value in config.parameters.items()})
    except ContractMismatchError as error:
        raise ContractMismatchError(f"model {config.name!r}: {error}") from error
    for spec in (*ensemble_inputs(), *detection_outputs(info.max_detections)):
        _check_tensor(config, spec)
    if config.max_batch_size < 1:
        raise ContractMismatchError(f"model {config.name!r} takes no batches: export it again with `sightline export`")
    return ServedDetector(config.name, info, config.max_batch_size)


def _check_tensor(config: pb.ModelConfig, spec: TensorSpec) -> None:
    tensors = {tensor.name: tensor for tensor in (*config.input, *config.output)}
    tensor = tensors.get(spec.name)
    came = None if tensor is None else (pb.DataType.Name(tensor.data_type).removeprefix("TYPE_"), tuple(tensor.dims))
    if came != (spec.datatype, spec.dims):
        raise ContractMismatchError(
            f"model {config.name!r} has {spec.name!r} as {came or 'nothing'}, the contract as "
            f"{(spec.datatype, spec.dims)}: export it again with `sightline export`"
        )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
