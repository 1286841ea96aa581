"""Rules about one model's own `config.pbtxt`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.config import CUDA_ACCELERATOR
from sightline_export.lint.findings import Problem, Rule, error, warning
from sightline_export.lint.folders import PYTHON_BACKEND, ModelFolder, Repository

SERVED_BACKENDS = (contract.DALI_BACKEND, contract.ONNX_BACKEND, contract.TENSORRT_BACKEND)
_PYTHON_ONLY_PARAMETERS = (
    "EXECUTION_ENV_PATH",
    "FORCE_CPU_ONLY_INPUT_TENSORS",
    "ENABLE_TRITON_OUTPUT_DTYPE_CHECK",
)


def _config_syntax(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    bad = model.bad_config
    if bad is not None and model.config_path.exists():
        fix = "correct that line, or write the file anew with sightline export"
        yield error(model.config_path, f"not a model configuration: {bad.reason}", fix, bad.line)


def _config_name(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    name = model.config.name
    if name and name != model.name:
        message = f"the configuration says {name!r}, the folder {model.name!r}; Triton refuses the model"
        fix = f'write name: "{model.name}", or rename the folder'
        yield error(model.config_path, message, fix, model.line_of("name:"))


def _model_name(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    try:
        if model.is_preprocessing:
            Preprocessing.parse(model.name)
        else:
            contract.check_model_name(model.name.removesuffix(contract.NETWORK_SUFFIX))
    except InvalidOptionError as reason:
        yield error(model.path, str(reason), "rename the folder and the configuration, and the steps that name it")


def _backend(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    backend = model.backend
    if model.is_ensemble or backend in SERVED_BACKENDS:
        return
    line = model.line_of("backend:") or model.line_of("platform:")
    known = ", ".join(SERVED_BACKENDS)
    if not backend:
        message = "neither backend nor platform is stated"
        yield error(model.config_path, message, f"state the backend: {known}", line)
    elif model.is_preprocessing or model.is_network:
        why = "only the embedded server's stand-ins are Python" if backend == PYTHON_BACKEND else f"known are {known}"
        message = f"a detector's part runs on backend {backend!r}; {why}"
        yield error(model.config_path, message, f"state the native backend: {known}", line)
    else:
        message = f"backend {backend!r} is not one that the embedded server has ({known})"
        yield warning(model.config_path, message, "serve it with NVIDIA's container, or elsewhere", line)


def _stand_in_only(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.backend == PYTHON_BACKEND:
        return
    for key in model.parameters:
        if key in _PYTHON_ONLY_PARAMETERS or key.startswith("shm-"):
            message = f"parameter {key!r} means something to the Python stand-ins only"
            fix = f"remove it; settings of ours begin with {contract.PARAMETER_PREFIX!r} and mean the same everywhere"
            yield error(model.config_path, message, fix, model.line_of("parameters", f'"{key}"'))


def _instance_kind(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.is_ensemble or model.backend == contract.TENSORRT_BACKEND:  # a plan runs on a GPU or not at all
        return
    for group in model.config.instance_group:
        if group.kind != pb.ModelInstanceGroup.KIND_AUTO or group.gpus:
            kind = pb.ModelInstanceGroup.Kind.Name(group.kind)
            message = (
                f"instance_group fixes {kind if not group.gpus else 'gpus'}: the model is bound to one sort of host"
            )
            fix = "state a count only; Triton takes the GPU where there is one and the CPU elsewhere"
            line = model.line_of("instance_group", "kind:") or model.line_of("instance_group", "gpus:")
            yield error(model.config_path, message, fix, line)


def _accelerator(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    accelerators = model.config.optimization.execution_accelerators
    for field in ("cpu_execution_accelerator", "gpu_execution_accelerator"):
        for accelerator in getattr(accelerators, field):
            if (field, accelerator.name) == ("gpu_execution_accelerator", CUDA_ACCELERATOR):
                continue
            message = f"{field} {accelerator.name!r} fails wherever the backend was built without it"
            fix = f"remove it; precision stands in {contract.PRECISION_PARAMETER!r}"
            yield error(model.config_path, message, fix, model.line_of("optimization", field))


def _dynamic_batching(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    config = model.config
    if model.is_ensemble or config.max_batch_size <= 1 or config.HasField("sequence_batching"):
        return
    if not config.HasField("dynamic_batching"):
        message = "there is no dynamic_batching, so requests of different clients are not joined"
        yield warning(model.config_path, message, "add: dynamic_batching { }", model.line_of("max_batch_size"))


def _ragged(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.backend != contract.DALI_BACKEND or model.config.max_batch_size < 1:
        return
    for tensor in model.config.input:
        if list(tensor.dims) == [-1] and not tensor.allow_ragged_batch:
            message = f"input {tensor.name!r} has no allow_ragged_batch, so only files of equal length are batched"
            fix = "add to the input: allow_ragged_batch: true"
            yield warning(model.config_path, message, fix, _line_of_tensor(model, "input", tensor))


def _line_of_tensor(model: ModelFolder, role: str, tensor: Any) -> int | None:
    return model.line_of(f"{role} ", f'"{tensor.name}"')


def _dali_input_type(model: ModelFolder, repository: Repository) -> Iterator[Problem]:
    if model.backend != contract.DALI_BACKEND or model.is_preprocessing:  # the contract's rules speak for those
        return
    for tensor in model.config.input:
        if tensor.data_type == pb.TYPE_STRING:
            message = f"input {tensor.name!r} is a string; DALI has no such type"
            fix = "encoded bytes are: data_type: TYPE_UINT8, dims: [ -1 ]"
            yield error(model.config_path, message, fix, _line_of_tensor(model, "input", tensor))


RULES = (
    Rule("config-syntax", _config_syntax, needs_config=False),
    Rule("config-name", _config_name),
    Rule("model-name", _model_name),
    Rule("backend", _backend),
    Rule("stand-in-only", _stand_in_only),
    Rule("instance-kind", _instance_kind),
    Rule("accelerator", _accelerator),
    Rule("dynamic-batching", _dynamic_batching),
    Rule("ragged", _ragged),
    Rule("dali-input-type", _dali_input_type),
)
