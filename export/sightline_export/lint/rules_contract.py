"""Rules about what detectors and their parts tell about themselves, and whether it is true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline_export.lint.findings import Problem, Rule, error, note, warning
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.tensors import deviations

_EXPORT_AGAIN = "export the model again: sightline export"


def _contract_parameters(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not (model.is_network or model.is_detector) or _unsupported_precision(model) is not None:
        return
    if not isinstance(model.info, DetectorInfo):
        yield error(model.config_path, str(model.info), _EXPORT_AGAIN, model.line_of("parameters"))


def _precision(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    precision = _unsupported_precision(model)
    if precision is not None:
        message = f"precision {precision!r} is not supported"
        fix = f"write one of {', '.join(contract.SERVED_PRECISIONS)}, or {_EXPORT_AGAIN}"
        line = model.line_of(f'"{contract.PRECISION_PARAMETER}"', "string_value")
        yield error(model.config_path, message, fix, line)


def _unsupported_precision(model: ModelFolder) -> str | None:
    precision = model.parameters.get(contract.PRECISION_PARAMETER)
    return None if precision in (None, *contract.SERVED_PRECISIONS) else precision


def _unknown_parameter(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    known = {value for name, value in vars(contract).items() if name.endswith("_PARAMETER")}
    known |= {contract.PARAMETER_PREFIX + field.name for field in fields(DetectorInfo)}
    for key in sorted(model.parameters.keys() - known):
        if key.startswith(contract.PARAMETER_PREFIX):
            message = f"parameter {key!r} is not one that Sightline reads"
            alike = get_close_matches(key, sorted(known), n=1) or sorted(known)
            fix = f"correct it to {' or '.join(alike)}, or remove it"
            yield warning(model.config_path, message, fix, model.line_of("parameters", f'"{key}"'))


def _max_pixels(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not model.is_preprocessing:
        return
    text = model.parameters.get(contract.MAX_PIXELS_PARAMETER)
    if read_max_pixels(model) is None:
        message = f"parameter {contract.MAX_PIXELS_PARAMETER!r} is {'missing' if text is None else repr(text)}"
        fix = f"state the largest width x height to decode as a whole number, such as {contract.DEFAULT_MAX_PIXELS}"
        line = model.line_of(f'"{contract.MAX_PIXELS_PARAMETER}"', "string_value")
        yield error(model.config_path, message, fix, line)


def read_max_pixels(model: ModelFolder) -> int | None:
    """The preprocessing's limit on width x height; None where it is missing or no whole number above 0."""
    text = model.parameters.get(contract.MAX_PIXELS_PARAMETER, "")
    return int(text) or None if text.isascii() and text.isdecimal() else None


def _contract_tensors(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    for name, message in deviations(model).items():
        yield error(model.config_path, message, _EXPORT_AGAIN, model.line_of(f'name: "{name}"'))


def _output_order(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.preprocessing is None or deviations(model):
        return
    wanted = [spec.name for spec in model.preprocessing.outputs]
    found = [tensor.name for tensor in model.config.output]
    if found != wanted:
        message = f"outputs stand in the order {', '.join(found)}; DALI fills them by position, whatever their names"
        yield error(
            model.config_path, message, f"write them in the order {', '.join(wanted)}", model.line_of("output ")
        )


def _parameters_differ(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    network = repository.find(contract.network_name(model.name)) if model.is_detector else None
    if network is None or deviations(model) or deviations(network):
        return
    if not isinstance(model.info, DetectorInfo) or not isinstance(network.info, DetectorInfo):
        return
    for field in fields(DetectorInfo):
        here, there = getattr(model.info, field.name), getattr(network.info, field.name)
        if here != there:
            message = f"{field.name} is {here!r} here and {there!r} in {network.name}; both describe one detector"
            line = model.line_of(f'"{contract.PARAMETER_PREFIX}{field.name}"')
            yield error(model.config_path, message, _EXPORT_AGAIN, line)


def _preprocessing_differs(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    """Pictures of the right size, so that all goes on, made in a way that puts every box in the wrong place."""
    if not model.is_detector or not isinstance(model.info, DetectorInfo):
        return
    wanted = model.info.preprocessing
    for step in model.config.ensemble_scheduling.step:
        part = repository.find(step.model_name)
        used = part.preprocessing if part is not None else None
        if used is not None and used != wanted and used.images == wanted.images:
            message = f"its pictures come from {step.model_name}, but its network was made for {wanted.model_name}"
            line = model.line_of("step ", f'model_name: "{step.model_name}"')
            yield error(model.config_path, message, _EXPORT_AGAIN, line)


def _preprocessing_unused(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not model.is_preprocessing:
        return
    readable = [repository.find(name) for name in repository.models]
    # A detector whose configuration cannot be read may be the one that uses it.
    if None in readable or any(_uses(other, model.name) for other in readable if other is not None):
        return
    yield note(
        model.path, "no detector uses this preprocessing", f"delete {model.name}/ if no more detectors of its kind come"
    )


def _uses(ensemble: ModelFolder, name: str) -> bool:
    return any(step.model_name == name for step in ensemble.config.ensemble_scheduling.step)


RULES = (
    Rule("contract-parameters", _contract_parameters),
    Rule("precision", _precision),
    Rule("unknown-parameter", _unknown_parameter),
    Rule("max-pixels", _max_pixels),
    Rule("contract-tensors", _contract_tensors),
    Rule("output-order", _output_order),
    Rule("parameters-differ", _parameters_differ),
    Rule("preprocessing-differs", _preprocessing_differs),
    Rule("preprocessing-unused", _preprocessing_unused),
)
