"""How much memory a server needs for what lies between the models of a repository, from their configurations.

A tensor that finds no room in Triton's CUDA pool goes through the host's memory, and one that finds none in the pinned
pool through pageable memory. Both are slower, and nobody is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline.contract import (
    DALI_BACKEND,
    ENCODED,
    ENSEMBLE_PLATFORM,
    MAX_PIXELS_PARAMETER,
    PARAMETER_PREFIX,
    RECTANGLE,
)
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.config import CONFIG_FILE, parse

_MIB = 1 << 20
MIN_CUDA_POOL_BYTES = 64 * _MIB
"""Triton's own default: less would save nothing worth having."""
MIN_PINNED_POOL_BYTES = 256 * _MIB
"""Likewise."""
HTTP_HEADER_BYTES = _MIB
"""Room for the JSON in front of the tensors of an HTTP request."""
_BATCHES_OF_INPUTS = 3
"""For each instance of a network: the batch that waits, the one that it computes on, and the copy of the latter in one
piece that Triton makes of the requests' tensors."""
_CHANNELS = 3
_PREPROCESSING = PARAMETER_PREFIX + "preprocessing"
_BYTES = {"BOOL": 1, "UINT8": 1, "INT8": 1, "FP16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """What a server of one model repository should be given.

    Attributes:
        cuda_pool_bytes: Triton's CUDA pool on each GPU.
        pinned_pool_bytes: Triton's pinned pool, for all GPUs.
        shared_memory_bytes: limit of /dev/shm.
        http_max_input_bytes: largest HTTP request.
        decoding_bytes: what decoded images take on each GPU if a whole batch has the most pixels that are allowed; it
            comes on top of the pools.
        left_out: models whose tensors vary in size in a way that is not known here.
    """

    cuda_pool_bytes: int
    pinned_pool_bytes: int
    shared_memory_bytes: int
    http_max_input_bytes: int
    decoding_bytes: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Model:
    """One model: instances on each GPU, images in a batch, bytes of an image's inputs and outputs."""

    instances: int
    on_gpu: bool
    batch_size: int
    input_bytes: int
    output_bytes: int
    decoding_bytes: int


def size_repository(repository: Path, *, max_image_bytes: int, gpus: int = 1, images_in_flight: int = 0) -> Sizes:
    """Sizes for all models of a repository, each pool rounded up to a power of two.

    Args:
        repository: folder of models.
        max_image_bytes: largest image file that clients send.
        gpus: GPUs of the server; Triton starts the instances of each model on every one.
        images_in_flight: images that all clients together have on their way to one GPU; 0 counts one batch that waits
            for each instance of a network.

    Raises:
        InvalidOptionError: no folder of models, a configuration that cannot be read, or a number out of range.
    """
    if gpus < 1 or images_in_flight < 0 or max_image_bytes < 1:
        raise InvalidOptionError(
            f"gpus is {gpus}, images_in_flight {images_in_flight}, max_image_bytes {max_image_bytes}; they must be at "
            "least 1, 0 and 1"
        )
    configs = _read_configs(repository)
    models = {config.name: _measure(config) for config in configs if config.platform != ENSEMBLE_PLATFORM}
    known = [model for model in models.values() if model is not None]
    crossing_bytes = sum(_crossing_bytes(model) for model in known)
    return Sizes(
        cuda_pool_bytes=_round_up(
            sum(_pool_bytes(model, images_in_flight) for model in known if model.on_gpu), at_least=MIN_CUDA_POOL_BYTES
        ),
        pinned_pool_bytes=_round_up(gpus * crossing_bytes, at_least=MIN_PINNED_POOL_BYTES),
        # Models in Python processes get and give everything through it, the encoded images too.
        shared_memory_bytes=_round_up(crossing_bytes + max_image_bytes, at_least=1),
        http_max_input_bytes=max_image_bytes + HTTP_HEADER_BYTES,
        decoding_bytes=sum(model.instances * model.decoding_bytes for model in known if model.on_gpu),
        left_out=tuple(sorted(name for name, model in models.items() if model is None)),
    )


def _read_configs(repository: Path) -> list[pb.ModelConfig]:
    files = sorted(repository.glob(f"*/{CONFIG_FILE}"))
    if not files:
        raise InvalidOptionError(f"{repository} holds no model (no NAME/{CONFIG_FILE}); `sightline export` adds one")
    return [_read_config(file) for file in files]


def _read_config(file: Path) -> pb.ModelConfig:
    try:
        config = parse(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise InvalidOptionError(f"{file} cannot be read ({error}); `sightline check` says more") from error
    config.name = config.name or file.parent.name
    return config


def _measure(config: pb.ModelConfig) -> _Model | None:
    """Bytes of a model's tensors; None where they vary in a way that is not known."""
    try:
        preprocessing = _preprocessing(config)
        input_bytes = _bytes_of(config.input, preprocessing)
        output_bytes = _bytes_of(config.output, preprocessing)
    except InvalidOptionError:
        return None
    kinds = pb.ModelInstanceGroup.Kind
    decoded = int(config.parameters[MAX_PIXELS_PARAMETER].string_value or 0) if config.backend == DALI_BACKEND else 0
    batch_size = max(1, config.max_batch_size)
    return _Model(
        instances=sum(max(1, group.count) for group in config.instance_group) or 1,
        on_gpu=not any(group.kind == kinds.Value("KIND_CPU") for group in config.instance_group),
        batch_size=batch_size,
        input_bytes=input_bytes,
        output_bytes=output_bytes,
        decoding_bytes=batch_size * decoded * _CHANNELS,
    )


def _preprocessing(config: pb.ModelConfig) -> Preprocessing | None:
    """How the pictures that a model gives or takes were brought to size; None for a model that is not ours."""
    if config.backend == DALI_BACKEND:
        return Preprocessing.parse(config.name)
    if _PREPROCESSING in config.parameters:
        return Preprocessing.parse(config.parameters[_PREPROCESSING].string_value)
    return None


def _bytes_of(tensors: Iterable[pb.ModelInput | pb.ModelOutput], preprocessing: Preprocessing | None) -> int:
    """Bytes for one image. Encoded images do not count: they stay in the host's ordinary memory."""
    return sum(_tensor_bytes(tensor, preprocessing) for tensor in tensors if tensor.name != ENCODED.name)


def _tensor_bytes(tensor: pb.ModelInput | pb.ModelOutput, preprocessing: Preprocessing | None) -> int:
    datatype = pb.DataType.Name(tensor.data_type).removeprefix("TYPE_")
    dims = [dim for dim in tensor.dims if dim >= 0]
    if datatype not in _BYTES or (len(dims) < len(tensor.dims) and preprocessing is None):
        raise InvalidOptionError(f"{tensor.name} has no known size")
    varying = len(dims) < len(tensor.dims)
    pixels = _most_values(tensor.name, preprocessing) if varying and preprocessing else 1
    return int(math.prod(dims)) * pixels * _BYTES[datatype]


def _most_values(name: str, preprocessing: Preprocessing) -> int:
    """Of the axes that vary: a resized picture is at most its two sides in size, a rectangle the whole square."""
    first, second = preprocessing.sides
    return (first // second) ** 2 if name == RECTANGLE.name else first * second


def _pool_bytes(model: _Model, images_in_flight: int) -> int:
    """What lies in the CUDA pool for a model: a network's inputs wait there, and everybody's outputs."""
    images = model.instances * model.batch_size
    if not model.input_bytes:
        return images * model.output_bytes
    waiting = max(images, images_in_flight)
    return (waiting + (_BATCHES_OF_INPUTS - 1) * images) * model.input_bytes + images * model.output_bytes


def _crossing_bytes(model: _Model) -> int:
    """One batch of every instance's inputs and outputs: what crosses the host where it must."""
    return model.instances * model.batch_size * (model.input_bytes + model.output_bytes)


def _round_up(value: int, *, at_least: int) -> int:
    """The next power of two."""
    return 1 << (max(value, at_least) - 1).bit_length()
