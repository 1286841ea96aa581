"""The served interface: names, shapes, types and defaults, each stated once.

Three Triton models make a detector. `letterbox_640` turns encoded bytes into a padded picture and is shared by every
detector of that input size, `NAME_net` turns pictures into boxes in original pixels, and the ensemble `NAME` joins
the two. Every `config.pbtxt`, the ONNX graphs, the stand-in backends and the client take their facts from here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from sightline.errors import ContractMismatchError, InvalidOptionError

CONTRACT_VERSION = 2

# --- input size -------------------------------------------------------------------------------------------------
DEFAULT_IMAGE_SIZE = 640
MIN_IMAGE_SIZE = 320
MAX_IMAGE_SIZE = 1920
IMAGE_SIZE_MULTIPLE = 32
PAD_VALUE = 114
"""Grey level (0 to 255) of the letterbox's border, in every channel."""

# --- limits on what is decoded ----------------------------------------------------------------------------------
DEFAULT_MAX_PIXELS = 200_000_000
"""Largest width x height, as the file's header states it, that is decoded."""
PIXELS_AT_ONCE = 200_000_000
"""Most pixels that a stand-in decodes at the same time, whatever its batch holds, unless a single picture has more."""

# --- detection --------------------------------------------------------------------------------------------------
SCORE_FLOOR = 0.001
"""Lowest score threshold that a request can ask for; one that is not at least this (NaN too) becomes this."""
DEFAULT_SCORE_THRESHOLD = 0.25
DEFAULT_IOU_THRESHOLD = 0.7
DEFAULT_MAX_DETECTIONS = 300
PADDING_CLASS = -1
"""Class id in the output slots beyond `num_detections`; their scores and boxes are 0."""

# --- scheduling -------------------------------------------------------------------------------------------------
MAX_BATCH_SIZE = 16
MAX_QUEUE_DELAY_MICROSECONDS = 500
NETWORK_INSTANCES = 2
PREPROCESSING_INSTANCES = 1

# --- ports ------------------------------------------------------------------------------------------------------
LOOPBACK_HOST = "127.0.0.1"
DEFAULT_HTTP_PORT = 8000
DEFAULT_GRPC_PORT = 8001
DEFAULT_METRICS_PORT = 8002

# --- places -----------------------------------------------------------------------------------------------------
MODEL_REPOSITORY = "model_repository"
"""The folder that commands work on where none is named."""

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
"""Arithmetic that an engine for CPUs can be asked for, of what a graph computes in FP32."""
ExportPrecision = Literal["fp32", "bf16", "fp16", "int8"]
EXPORT_PRECISIONS: tuple[ExportPrecision, ...] = get_args(ExportPrecision)
"""What a detector can be exported in: `fp16` and `int8` are types in its graph."""
AUTO_PRECISION = "auto"
"""In place of one: the fastest here that passes the gate."""
PlanPrecision = Literal["fp16", "fp32"]
PLAN_PRECISIONS: tuple[PlanPrecision, ...] = get_args(PlanPrecision)
"""What a network is built with as a TensorRT plan."""
ServedPrecision = Literal["fp32", "bf16", "fp16", "int8"]
SERVED_PRECISIONS: tuple[ServedPrecision, ...] = get_args(ServedPrecision)

TritonType = Literal["UINT8", "INT32", "INT64", "FP32"]
_NUMPY_TYPES: dict[str, npt.DTypeLike] = {
    "UINT8": np.uint8,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP32": np.float32,
}


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a served model.

    Attributes:
        name: the tensor's name, the same in Triton and in the ONNX graph.
        datatype: Triton's name of the element type, without the `TYPE_` of `config.pbtxt`.
        dims: shape without the batch axis; -1 stands for a length that varies from image to image.
    """

    name: str
    datatype: TritonType
    dims: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy element type."""
        return np.dtype(_NUMPY_TYPES[self.datatype])


ENCODED = TensorSpec("encoded", "UINT8", (-1,))
"""The bytes of one image file; images of one request are padded with zero bytes to the longest."""
ORIGINAL_SHAPE = TensorSpec("original_shape", "INT64", (3,))
"""Height, width, channels after EXIF rotation, in pixels."""
RECTANGLE = TensorSpec("rectangle", "INT32", (-1, -1))
"""Of networks of rectangles: height and width, in strides, of the part of the square around its centre that they see.
Its values mean nothing. Triton joins requests whose tensors have one shape, and so those of one aspect."""
SCORE_THRESHOLD = TensorSpec("score_threshold", "FP32", (1,))
NUM_DETECTIONS = TensorSpec("num_detections", "INT32", (1,))


def boxes_spec(max_detections: int) -> TensorSpec:
    """x1, y1, x2, y2 in pixels of the original image, clipped to it; best score first."""
    return TensorSpec("boxes", "FP32", (max_detections, 4))


def scores_spec(max_detections: int) -> TensorSpec:
    """Confidence, 0 to 1, falling."""
    return TensorSpec("scores", "FP32", (max_detections,))


def classes_spec(max_detections: int) -> TensorSpec:
    """Index into the class names, or `PADDING_CLASS`."""
    return TensorSpec("classes", "INT32", (max_detections,))


def ensemble_inputs() -> tuple[TensorSpec, ...]:
    """Inputs of the detector as clients see it."""
    return (ENCODED, SCORE_THRESHOLD)


def detection_outputs(max_detections: int) -> tuple[TensorSpec, ...]:
    """Outputs of `*_net` and of the ensemble."""
    return (
        NUM_DETECTIONS,
        boxes_spec(max_detections),
        scores_spec(max_detections),
        classes_spec(max_detections),
    )


# --- names ------------------------------------------------------------------------------------------------------
_MODEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,99}")
NETWORK_SUFFIX = "_net"
PREPROCESSING_PREFIXES = ("letterbox_", "rect_", "resize_", "stretch_")
"""How the names of preprocessing models begin; see `sightline.preprocessing`."""
DALI_BACKEND = "dali"
DALI_FILE = "dali.py"
ONNX_BACKEND = "onnxruntime"
ONNX_FILE = "model.onnx"
TENSORRT_BACKEND = "tensorrt"
TENSORRT_FILE = "model.plan"
ENSEMBLE_PLATFORM = "ensemble"
MODEL_VERSION = 1
WARMUP_FOLDER = "warmup"


def check_model_name(name: str) -> str:
    """`name` itself if every backend accepts it.

    Raises:
        InvalidOptionError: it holds a character beyond letters, digits, `_` and `.`, does not begin with a letter, is
            longer than 100 characters, or would be taken for one of a detector's own parts.
    """
    if not _MODEL_NAME.fullmatch(name):
        raise InvalidOptionError(
            f"model name {name!r} is not allowed: begin with a letter, then letters, digits, '_' and '.', at most 100 "
            "(the DALI backend refuses hyphens and spaces); choose another (`sightline export` takes it with --name)"
        )
    if name.endswith(NETWORK_SUFFIX) or name.startswith(PREPROCESSING_PREFIXES):
        raise InvalidOptionError(
            f"model name {name!r} is reserved: names that end in {NETWORK_SUFFIX!r} or begin with "
            f"{', '.join(map(repr, PREPROCESSING_PREFIXES))} belong to a detector's parts; choose "
            "another (`sightline export` takes it with --name)"
        )
    return name


def network_name(detector: str) -> str:
    """Name of the detector's network model."""
    return detector + NETWORK_SUFFIX


def check_image_size(image_size: int) -> int:
    """`image_size` itself if pictures can be brought to a square of that side.

    Raises:
        InvalidOptionError: not a multiple of 32 from 320 to 1920.
    """
    if not MIN_IMAGE_SIZE <= image_size <= MAX_IMAGE_SIZE or image_size % IMAGE_SIZE_MULTIPLE:
        raise InvalidOptionError(
            f"image size {image_size} is not allowed: multiples of {IMAGE_SIZE_MULTIPLE} from {MIN_IMAGE_SIZE} to "
            f"{MAX_IMAGE_SIZE}, such as {DEFAULT_IMAGE_SIZE}"
        )
    return image_size


# --- what a detector tells about itself -------------------------------------------------------------------------
PARAMETER_PREFIX = "sightline."
MAX_PIXELS_PARAMETER = PARAMETER_PREFIX + "max_pixels"
PRECISION_PARAMETER = PARAMETER_PREFIX + "precision"
THREADS_PARAMETER = PARAMETER_PREFIX + "threads"
"""Threads of each instance on a CPU; without it, the instances share the cores evenly."""
TUNED_PARAMETER = PARAMETER_PREFIX + "tuned"
"""Which settings of a model's schedule are its own and outlive an export; see `sightline_export.schedule`."""
MEMBERS_PARAMETER = PARAMETER_PREFIX + "members"
"""Only groups have it; see `sightline.groups`."""

CONTRACT_VERSION_PARAMETER = PARAMETER_PREFIX + "contract_version"


def check_contract_version(parameters: Mapping[str, str], *, again: str) -> None:
    """Accept what was written for this version of the contract.

    Args:
        parameters: of a model's configuration.
        again: how its author makes it anew, for people.

    Raises:
        ContractMismatchError: it was written for another version.
    """
    version = parameters.get(CONTRACT_VERSION_PARAMETER)
    if version != str(CONTRACT_VERSION):
        raise ContractMismatchError(
            f"contract version is {version or 'missing'}, this is version {CONTRACT_VERSION}: {again}"
        )


def check_fraction(what: str, value: float) -> float:
    """`value` itself if it lies from 0 to 1.

    Raises:
        InvalidOptionError: it does not, or is NaN.
    """
    if not 0.0 <= value <= 1.0:
        raise InvalidOptionError(f"{what} is {value}; it must lie from 0 to 1")
    return value


# --- which engine really runs a model ---------------------------------------------------------------------------
ENGINES_MODEL = "_sightline_engines"
"""A model that only the embedded server has: no inputs, and `ENGINES`. No detector can have its name."""
ENGINES = TensorSpec("engines", "UINT8", (-1,))
"""JSON text: an `EngineInfo` by model name, for each model that a stand-in backend runs."""


Device = Literal["cpu", "gpu"]


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What runs one model behind a stand-in backend.

    Attributes:
        engine: such as `openvino`, `onnxruntime` or `dali`.
        version: the engine's version.
        precision: arithmetic that it really uses, which may be another than the model asks for.
        threads: threads of each instance on the CPU.
        device: where it computes.
        reason: why it is not the engine or precision that was asked for; empty where it is.
        most_threads: threads of an instance while no other one of the server's networks computes; None where that
            changes nothing.
    """

    engine: str
    version: str
    precision: str
    threads: int
    device: Device = "cpu"
    reason: str = ""
    most_threads: int | None = None

    @property
    def threads_text(self) -> str:
        """For people: `2`, or `1 to 2`."""
        return str(self.threads) if self.most_threads is None else f"{self.threads} to {self.most_threads}"

    def __str__(self) -> str:
        """For people: `openvino 2026.4.1, bf16, 1 to 2 threads per instance`, and the reason."""
        several = self.threads != 1 or self.most_threads is not None
        place = "on the GPU" if self.device == "gpu" else f"{self.threads_text} thread{'s' * several} per instance"
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.engine} {self.version}, {self.precision}, {place}{reason}"


def format_engines(engines: Mapping[str, EngineInfo]) -> bytes:
    """The value of `ENGINES`."""
    return json.dumps({model: asdict(info) for model, info in engines.items()}, sort_keys=True).encode()


def parse_engines(payload: bytes) -> dict[str, EngineInfo]:
    """The reverse of `format_engines`."""
    return {model: EngineInfo(**fields) for model, fields in json.loads(payload).items()}


# --- how a server says that one image, not the server, is at fault ----------------------------------------------
_IMAGE_ERROR = re.compile(r"sightline-image-error\[([a-z-]+)\]: ([^\n]*)")


def format_image_error(kind: str, reason: str) -> str:
    """The text of a Triton error that blames an image; `kind` is an `ImageError.kind`."""
    return f"sightline-image-error[{kind}]: {' '.join(reason.split())}"


def parse_image_error(message: str) -> tuple[str, str] | None:
    """Kind and reason from a Triton error's text, or None where it blames no image."""
    found = _IMAGE_ERROR.search(message)
    return (found[1], found[2]) if found else None
