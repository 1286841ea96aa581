"""A detector that does no work: the same inputs and outputs as a real one, from Triton's Python backend.

Benchmarks use it to see what client and transport cost by themselves, tests to see order, load and faults.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.contract import TensorSpec, check_model_name
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError
from sightline_bench import noop_model

DEFAULT_NAME = "noop"
PYTHON_BACKEND = "python"
CLASS_NAMES = ("thing",)
BLAME_REASON = "truncated, says the no-op model"


@dataclass(frozen=True, kw_only=True)
class NoopOptions:
    """What the no-op detector answers.

    Attributes:
        echo: find one object whose left and top edges are `sightline_bench.noop_model.fingerprint` of the payload,
            instead of finding nothing.
        delay_seconds: how long each request takes.
        poison: a payload that holds these bytes fails every request of its dynamic batch with the text that the
            native DALI backend has for an undecodable image; empty for none.
        blame: a payload that holds these bytes fails its own request with the text that our stand-in has for an
            undecodable image; empty for none.
        queue_size: requests that may wait, the next being refused; 0 for any number. A limit makes Triton's batcher
            sleep up to half a second over requests that came while every instance was busy.
        instances: processes that answer.
        max_batch_size: images in the largest request.
        max_queue_delay_microseconds: how long a request waits for others to share its dynamic batch.
    """

    echo: bool = False
    delay_seconds: float = 0.0
    poison: str = ""
    blame: str = ""
    queue_size: int = 0
    instances: int = 1
    max_batch_size: int = contract.MAX_BATCH_SIZE
    max_queue_delay_microseconds: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.delay_seconds < 60:
            raise InvalidOptionError(f"delay_seconds is {self.delay_seconds}; it must lie from 0 to 60")
        for name in ("instances", "max_batch_size"):
            if getattr(self, name) < 1:
                raise InvalidOptionError(f"{name} is {getattr(self, name)}; it must be at least 1")


def write_noop_detector(
    repository: Path,
    name: str = DEFAULT_NAME,
    *,
    options: NoopOptions | None = None,
    info: DetectorInfo | None = None,
) -> Path:
    """Write a no-op detector into a model repository and return its folder.

    Args:
        repository: folder of models; made where it is missing.
        name: the model's name.
        options: what it answers; finds nothing, at once, by default.
        info: what it tells about itself; one class by default.
    """
    options = options or NoopOptions()
    info = info or DetectorInfo(class_names=CLASS_NAMES, source="none")
    folder = repository / check_model_name(name)
    version = folder / str(contract.MODEL_VERSION)
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.py").write_text(inspect.getsource(noop_model), encoding="utf-8")
    config = noop_config(name, options=options, info=info)
    (folder / "config.pbtxt").write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")
    return folder


def noop_config(name: str, *, options: NoopOptions, info: DetectorInfo) -> pb.ModelConfig:
    """`config.pbtxt` of the no-op detector: the ensemble's interface on the Python backend."""
    config = pb.ModelConfig(name=name, backend=PYTHON_BACKEND, max_batch_size=options.max_batch_size)
    for spec in contract.ensemble_inputs():
        ragged = spec == contract.ENCODED
        config.input.add(name=spec.name, data_type=_data_type(spec), dims=spec.dims, allow_ragged_batch=ragged)
    for spec in contract.detection_outputs(info.max_detections):
        config.output.add(name=spec.name, data_type=_data_type(spec), dims=spec.dims)
    parameters = {
        **info.to_parameters(),
        "echo": "yes" if options.echo else "",
        "delay_seconds": str(options.delay_seconds),
        "poison": options.poison,
        "blame": options.blame,
        "blame_text": contract.format_image_error("corrupt", BLAME_REASON),
    }
    for key, value in parameters.items():
        config.parameters[key].string_value = value
    config.instance_group.add(count=options.instances)
    config.dynamic_batching.max_queue_delay_microseconds = options.max_queue_delay_microseconds
    if options.queue_size:
        policy = config.dynamic_batching.default_queue_policy
        policy.timeout_action = pb.ModelQueuePolicy.REJECT
        policy.allow_timeout_override = True
        policy.max_queue_size = options.queue_size
    return config


def _data_type(spec: TensorSpec) -> pb.DataType:
    return pb.DataType.Value(f"TYPE_{spec.datatype}")
