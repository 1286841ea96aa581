"""Types and shapes of a model's inputs and outputs, and what the contract wants of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.contract import TensorSpec
from sightline.detector_info import DetectorInfo
from sightline_export.lint.folders import ModelFolder
from sightline_export.lint.signature import Signature


def signature(tensor: Any) -> Signature:
    """Of an input or output in `config.pbtxt`."""
    return Signature(pb.DataType.Name(tensor.data_type).removeprefix("TYPE_"), tuple(tensor.dims))


def signatures(tensors: Sequence[Any]) -> dict[str, Signature]:
    """By tensor name."""
    return {tensor.name: signature(tensor) for tensor in tensors}


def expected_tensors(model: ModelFolder) -> tuple[Sequence[TensorSpec], Sequence[TensorSpec]] | None:
    """Inputs and outputs that the contract gives this model; None where it says nothing about it."""
    if model.preprocessing is not None:
        return model.preprocessing.inputs, model.preprocessing.outputs
    if not isinstance(model.info, DetectorInfo):
        return None
    outputs = contract.detection_outputs(model.info.max_detections)
    if model.is_network:
        return model.info.preprocessing.network_inputs, outputs
    if model.is_detector:
        return contract.ensemble_inputs(), outputs
    return None


def deviations(model: ModelFolder) -> dict[str, str]:
    """What is wrong with each tensor that is not as the contract wants it, by tensor name."""
    expected = expected_tensors(model)
    if expected is None:
        return {}
    inputs, outputs = expected
    return {
        **dict(_compare("input", inputs, signatures(model.config.input))),
        **dict(_compare("output", outputs, signatures(model.config.output))),
    }


def _compare(role: str, wanted: Sequence[TensorSpec], found: dict[str, Signature]) -> Iterator[tuple[str, str]]:
    for spec in wanted:
        want = Signature(spec.datatype, spec.dims)
        have = found.get(spec.name)
        if have is None:
            yield spec.name, f"{role} {spec.name!r} ({want}) is missing"
        elif have != want:
            yield spec.name, f"{role} {spec.name!r} is {have}; the contract says {want}"
    for name in found.keys() - {spec.name for spec in wanted}:
        yield name, f"{role} {name!r} is not part of the contract"
