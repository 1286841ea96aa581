"""Rules about ensembles: their steps, and the tensors that flow between them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sightline import contract
from sightline_export.lint.findings import Problem, Rule, error
from sightline_export.lint.folders import ModelFolder, Repository
from sightline_export.lint.group_fit import fits, is_part
from sightline_export.lint.signature import Signature
from sightline_export.lint.tensors import deviations, signatures

Step = tuple[Any, ModelFolder]
"""A step of the ensemble and the model that it names."""


def _ensemble_steps(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not model.is_ensemble:
        return
    steps = model.config.ensemble_scheduling.step
    if not steps:
        fix = "name the models in ensemble_scheduling { step [ … ] }, or export the detector again"
        yield error(model.config_path, "an ensemble needs steps and has none", fix, model.line_of("platform:"))
    for step in steps:
        if step.model_name not in repository.models and not is_part(model, step.model_name):
            message = f"step {step.model_name!r} is not in this repository; the ensemble will not load"
            fix = f"export the detector again, or correct the name; here are {', '.join(sorted(repository.models))}"
            yield error(model.config_path, message, fix, model.line_of("step ", f'model_name: "{step.model_name}"'))


def _ensemble_settings(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not model.is_ensemble:
        return
    for field in ("instance_group", "model_warmup"):
        if getattr(model.config, field):
            yield _refused(model, field)
    if model.config.HasField("optimization"):
        yield _refused(model, "optimization")


def _refused(model: ModelFolder, field: str) -> Problem:
    message = f"{field} is not allowed on an ensemble; Triton refuses the model"
    return error(model.config_path, message, f"remove {field}; set it on the steps' models", model.line_of(field))


def _ensemble_batch_size(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not fits(model, repository):
        return
    most = model.config.max_batch_size
    for _, part in _steps(model, repository):
        has = part.config.max_batch_size
        if has != 0 and has < most:
            message = f"max_batch_size is {most}, but {part.name} takes at most {has}; Triton refuses the ensemble"
            fix = f"write max_batch_size: {has} here, or raise that of {part.name}"
            yield error(model.config_path, message, fix, model.line_of("max_batch_size"))


def _steps(model: ModelFolder, repository: Repository) -> Iterator[Step]:
    """The steps whose model is here and readable."""
    if not model.is_ensemble:
        return
    for step in model.config.ensemble_scheduling.step:
        part = repository.find(step.model_name)
        if part is not None:
            yield step, part


def _ensemble_map(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if not fits(model, repository):
        return
    steps = list(_steps(model, repository))
    for step, part in steps:
        yield from _misnamed_keys(model, step, part)
        yield from _unmapped(model, step, part)
    # A broken or absent model has its own finding; without it the flow cannot be followed.
    if steps and len(steps) == len(model.config.ensemble_scheduling.step):
        yield from _broken_flow(model, steps)


def _misnamed_keys(model: ModelFolder, step: Any, part: ModelFolder) -> Iterator[Problem]:
    for role, mapping, tensors in (
        ("input", step.input_map, part.config.input),
        ("output", step.output_map, part.config.output),
    ):
        names = sorted(tensor.name for tensor in tensors)
        for key in sorted(mapping.keys() - set(names) - deviations(part).keys()):
            message = f"{part.name} has no {role} {key!r}"
            fix = f"its {role}s are {', '.join(names)}"
            yield error(model.config_path, message, fix, _line(model, step, f"{role}_map", f'key: "{key}"'))


def _unmapped(model: ModelFolder, step: Any, part: ModelFolder) -> Iterator[Problem]:
    for name in _unmapped_inputs(step, part):
        message = f"input {name!r} of {part.name} is not mapped"
        fix = f'add to the step: input_map {{ key: "{name}" value: "TENSOR" }}'
        yield error(model.config_path, message, fix, _line(model, step))
    for name in _unmapped_dali_outputs(step, part):
        message = (
            f"output {name!r} of {part.name} is not mapped; the DALI backend fails at run time unless every output of "
            "its pipeline is requested"
        )
        fix = f'add to the step: output_map {{ key: "{name}" value: "{name}" }}, and use that tensor'
        yield error(model.config_path, message, fix, _line(model, step))


def _unmapped_inputs(step: Any, part: ModelFolder) -> list[str]:
    odd = deviations(part)
    return [
        tensor.name
        for tensor in part.config.input
        if tensor.name not in step.input_map and not tensor.optional and tensor.name not in odd
    ]


def _unmapped_dali_outputs(step: Any, part: ModelFolder) -> list[str]:
    if part.backend != contract.DALI_BACKEND:
        return []
    return [tensor.name for tensor in part.config.output if tensor.name not in step.output_map]


def _broken_flow(model: ModelFolder, steps: list[Step]) -> Iterator[Problem]:
    """Tensors that are read but never written, or written but never read: Triton refuses both."""
    given = {tensor.name for tensor in model.config.input}
    wanted = {tensor.name for tensor in model.config.output}
    written = {tensor for step, _ in steps for tensor in step.output_map.values()}
    read = {tensor for step, _ in steps for tensor in step.input_map.values()}
    explained = {name for step, part in steps for name in (*_unmapped_dali_outputs(step, part), *deviations(part))}
    explained |= {name for step, part in steps for name in _unmapped_inputs(step, part)} | deviations(model).keys()
    for tensor in sorted((read | wanted) - (given | written) - explained):
        message = f"tensor {tensor!r} is read, but no input and no step gives it"
        yield error(
            model.config_path, message, "map a step's output to it", model.line_of("step ", f'value: "{tensor}"')
        )
    for tensor in sorted((given | written) - (read | wanted) - explained):
        message = f"tensor {tensor!r} is given, but nothing reads it; Triton refuses the ensemble"
        yield error(model.config_path, message, "map it to an input, or remove it", model.line_of(f'"{tensor}"'))


def _ensemble_tensors(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    """Type or shape differs between two places that share a tensor; what breaks the contract is reported there."""
    if not fits(model, repository):
        return
    seen: dict[str, tuple[str, Signature]] = {
        name: (model.name, shape)
        for name, shape in _sound_signatures(model, (*model.config.input, *model.config.output)).items()
    }
    for step, part in _steps(model, repository):
        for mapping, tensors in ((step.output_map, part.config.output), (step.input_map, part.config.input)):
            for key, shape in _sound_signatures(part, tensors).items():
                if key not in mapping:
                    continue
                first, known = seen.setdefault(mapping[key], (part.name, shape))
                if not known.fits(shape):
                    message = f"tensor {mapping[key]!r} is {known} in {first} and {shape} in {part.name}"
                    fix = f"make {first} and {part.name} agree; detectors of one preprocessing share one model for it"
                    line = _line(model, step, f'key: "{key}"')
                    yield error(model.config_path, message, fix, line)


def _sound_signatures(model: ModelFolder, tensors: Any) -> dict[str, Signature]:
    odd = deviations(model)
    return {name: shape for name, shape in signatures(tensors).items() if name not in odd}


def _line(model: ModelFolder, step: Any, *needles: str) -> int | None:
    found = model.line_of("step ", f'model_name: "{step.model_name}"', *needles)
    return found or model.line_of(f'model_name: "{step.model_name}"')


RULES = (
    Rule("ensemble-steps", _ensemble_steps),
    Rule("ensemble-settings", _ensemble_settings),
    Rule("ensemble-batch-size", _ensemble_batch_size),
    Rule("ensemble-map", _ensemble_map),
    Rule("ensemble-tensors", _ensemble_tensors),
)
