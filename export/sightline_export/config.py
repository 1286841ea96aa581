"""`config.pbtxt` for each kind of model, rendered from the contract."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.contract import TensorSpec
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing

from .schedule import NETWORK_SCHEDULE, PREPROCESSING_SCHEDULE, Schedule, set_schedule

CONFIG_FILE = "config.pbtxt"
WARMUP_JPEG = "warmup.jpg"
WARMUP_SHAPE = "original_shape"
CUDA_ACCELERATOR = "cuda"
"""The one accelerator that every ONNX Runtime backend for GPUs has."""
CUDA_PARAMETERS = {
    # HEURISTIC: by default every algorithm of every layer is tried whenever a batch has a size that is new.
    "cudnn_conv_algo_search": "1",
    # kSameAsRequested: the instances share a GPU, so none takes twice of what it needs.
    "arena_extend_strategy": "1",
}
"""Not the accelerator's: there the backend overwrites them with its defaults wherever a model has parameters."""
_MODEL_FILES = {contract.ONNX_BACKEND: contract.ONNX_FILE, contract.TENSORRT_BACKEND: contract.TENSORRT_FILE}
_WARMUP_SIDE = 640
"""Height and width in pixels of the picture that warms up a network whose pictures vary in size."""
_WARMUP_RECTANGLE_HW = (480, 640)
"""The same for a network of rectangles: the aspect of most photographs."""


def preprocessing_config(
    preprocessing: Preprocessing,
    *,
    max_pixels: int,
    warmup_jpeg_bytes: int,
    schedule: Schedule = PREPROCESSING_SCHEDULE,
) -> pb.ModelConfig:
    """The preprocessing model: encoded bytes to a picture of the right size.

    Args:
        preprocessing: how it is brought to size.
        max_pixels: largest width x height that is decoded.
        warmup_jpeg_bytes: length of the JPEG that stands in the model's warm-up folder as `WARMUP_JPEG`.
        schedule: its instances, and how requests are joined.
    """
    config = _base_config(preprocessing.model_name, max_batch_size=preprocessing.max_batch_size)
    config.backend = contract.DALI_BACKEND
    config.default_model_filename = contract.DALI_FILE
    config.input.extend(_input(spec, ragged=True) for spec in preprocessing.inputs)
    config.output.extend(_output(spec) for spec in preprocessing.outputs)
    config.parameters[contract.MAX_PIXELS_PARAMETER].string_value = str(max_pixels)
    set_schedule(config, schedule)
    jpeg = TensorSpec(contract.ENCODED.name, contract.ENCODED.datatype, (warmup_jpeg_bytes,))
    # Batch 1 only: Triton makes a warm-up batch of N from N requests, and on a host without a GPU driver the native
    # DALI backend fails every batch of two or more requests, so that the model would not load there.
    warmup = config.model_warmup.add(name="jpeg", batch_size=1)
    _warmup_input(warmup, jpeg).input_data_file = WARMUP_JPEG
    return config


def network_config(
    *,
    detector: str,
    info: DetectorInfo,
    backend: str = contract.ONNX_BACKEND,
    schedule: Schedule = NETWORK_SCHEDULE,
) -> pb.ModelConfig:
    """The network with its front and head: pictures brought to size to boxes in original pixels."""
    config = _base_config(contract.network_name(detector), max_batch_size=info.preprocessing.max_batch_size)
    config.backend = backend
    config.default_model_filename = _MODEL_FILES[backend]
    inputs = info.preprocessing.network_inputs
    config.input.extend(_input(spec) for spec in inputs)
    config.output.extend(_output(spec) for spec in contract.detection_outputs(info.max_detections))
    _add_parameters(config, info)
    if backend == contract.ONNX_BACKEND:
        _compute_on_cuda(config)
    set_schedule(config, schedule)
    for batch_size in _warmup_batch_sizes(config.max_batch_size):
        warmup = config.model_warmup.add(name=f"pictures_{batch_size}", batch_size=batch_size)
        for spec in inputs:
            filled = _warmup_input(warmup, _of_fixed_size(spec, info.preprocessing))
            if spec == contract.ORIGINAL_SHAPE:
                filled.input_data_file = WARMUP_SHAPE
            elif spec in (contract.SCORE_THRESHOLD, contract.RECTANGLE):
                filled.zero_data = True
            else:
                filled.random_data = True
    return config


def ensemble_config(*, detector: str, info: DetectorInfo) -> pb.ModelConfig:
    """The detector as clients see it: encoded bytes and a score threshold to boxes."""
    outputs = contract.detection_outputs(info.max_detections)
    before = info.preprocessing
    config = ensemble_of(
        detector, max_batch_size=before.max_batch_size, inputs=contract.ensemble_inputs(), outputs=outputs
    )
    _add_parameters(config, info)
    _add_step(config, before.model_name, inputs=before.inputs, outputs=before.outputs)
    _add_step(
        config,
        contract.network_name(detector),
        inputs=before.network_inputs,
        outputs=outputs,
    )
    return config


def ensemble_of(
    name: str, *, max_batch_size: int, inputs: Iterable[TensorSpec], outputs: Iterable[TensorSpec]
) -> pb.ModelConfig:
    """An ensemble that has no steps yet."""
    config = _base_config(name, max_batch_size=max_batch_size)
    config.platform = contract.ENSEMBLE_PLATFORM
    config.input.extend(_input(spec) for spec in inputs)
    config.output.extend(_output(spec) for spec in outputs)
    return config


def render(config: pb.ModelConfig) -> str:
    """The text of `config.pbtxt`."""
    return text_format.MessageToString(config, as_utf8=True)


def parse(text: str) -> pb.ModelConfig:
    """The reverse of `render`.

    Raises:
        google.protobuf.text_format.ParseError: not a model configuration.
    """
    return text_format.Parse(text, pb.ModelConfig())


def _base_config(name: str, *, max_batch_size: int) -> pb.ModelConfig:
    config = pb.ModelConfig(name=name, max_batch_size=max_batch_size)
    config.version_policy.latest.num_versions = 1
    return config


def _data_type(spec: TensorSpec) -> pb.DataType:
    return pb.DataType.Value(f"TYPE_{spec.datatype}")


def _input(spec: TensorSpec, *, ragged: bool = False) -> pb.ModelInput:
    return pb.ModelInput(name=spec.name, data_type=_data_type(spec), dims=spec.dims, allow_ragged_batch=ragged)


def _output(spec: TensorSpec) -> pb.ModelOutput:
    return pb.ModelOutput(name=spec.name, data_type=_data_type(spec), dims=spec.dims)


def _add_parameters(config: pb.ModelConfig, info: DetectorInfo) -> None:
    for name, value in info.to_parameters().items():
        config.parameters[name].string_value = value


def _compute_on_cuda(config: pb.ModelConfig) -> None:
    """How ONNX Runtime computes where the model is on a GPU; elsewhere nobody reads it."""
    for name, value in CUDA_PARAMETERS.items():
        config.parameters[name].string_value = value
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name=CUDA_ACCELERATOR)
    # What says fp32 is fp32, and not 10 of its 23 bits.
    accelerator.parameters["use_tf32"] = "0"


def _warmup_batch_sizes(max_batch_size: int) -> Iterable[int]:
    """Powers of two up to the maximum, and the maximum."""
    powers = [1 << n for n in range(max_batch_size.bit_length())]
    return sorted({size for size in powers if size < max_batch_size} | {max_batch_size})


def _of_fixed_size(spec: TensorSpec, preprocessing: Preprocessing) -> TensorSpec:
    """The same tensor, with the warm-up picture's size where sizes vary."""
    if spec == contract.RECTANGLE:
        _, stride = preprocessing.sides
        height, width = preprocessing.seen_hw(_WARMUP_RECTANGLE_HW)
        return replace(spec, dims=(height // stride, width // stride))
    return replace(spec, dims=tuple(_WARMUP_SIDE if dim < 0 else dim for dim in spec.dims))


def _warmup_input(warmup: pb.ModelWarmup, spec: TensorSpec) -> pb.ModelWarmup.Input:
    filled = warmup.inputs[spec.name]
    filled.data_type = _data_type(spec)
    filled.dims.extend(spec.dims)
    return filled


def _add_step(
    config: pb.ModelConfig, model: str, *, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    """Tensors keep their names, so a step's inputs come from whatever tensor has that name."""
    step = config.ensemble_scheduling.step.add(model_name=model, model_version=-1)
    step.input_map.update({spec.name: spec.name for spec in inputs})
    step.output_map.update({spec.name: spec.name for spec in outputs})
