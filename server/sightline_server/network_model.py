"""What the stand-ins for Triton's network backends have in common: requests in, an engine's answers out."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from sightline.contract import EngineInfo
from sightline_server.batching import Answer, run_requests
from sightline_server.cuda import open_device
from sightline_server.dlpack import Values, raw_array
from sightline_server.engine_report import record_engine
from sightline_server.engines import Engine, EngineError
from sightline_server.gpu import instance_device


class NetworkModel:
    """One instance of a model that an engine runs."""

    default_file: str
    """The model's file where its configuration names none."""

    def open(self, config: Mapping[str, Any], file: Path, device: int | None) -> tuple[Engine, EngineInfo]:
        """The engine, and what to tell about it.

        Args:
            config: the model's configuration as Triton hands it over.
            file: the network.
            device: number of the GPU that Triton gave this instance; None for the CPU.
        """
        raise NotImplementedError

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model's engine."""
        config = json.loads(args["model_config"])
        self._name = args["model_name"]
        folder = Path(args["model_repository"])
        file = folder / args["model_version"] / (config["default_model_filename"] or self.default_file)
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        device = instance_device(args)
        self._engine, info = self.open(config, file, device)
        # A CPU computes image by image: to bring requests together would only copy them.
        self._joins = int(config["max_batch_size"]) > 0 and info.device == "gpu"
        # An engine that had to make do with the CPU is still handed what lies on the GPU.
        self._fetch = open_device(device) if device is not None and info.device == "cpu" else None
        record_engine(args["model_name"], info)
        log = pb_utils.Logger.log_warn if info.reason else pb_utils.Logger.log_info
        place = f"on GPU {device}" if info.device == "gpu" else f"threads: {info.threads_text}"
        log(
            f"{args['model_instance_name']}: {info.engine} {info.version} in {info.precision}, {place}"
            + (f"; {info.reason}" if info.reason else "")
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a dynamic batch."""
        inputs = [{name: self._read(request, name) for name in self._inputs} for request in requests]
        return [self._respond(answer) for answer in run_requests(self._engine, inputs, joined=self._joins)]

    def _read(self, request: Any, name: str) -> Values:
        """One of the request's inputs where it lies; it is there until the request is answered."""
        tensor = pb_utils.get_input_tensor_by_name(request, name)
        if tensor.is_cpu():
            values: Values = np.from_dlpack(tensor)
            return values
        array = raw_array(tensor)
        return array if self._fetch is None else self._fetch.to_host(array)

    def _respond(self, answer: Answer) -> Any:
        if isinstance(answer, EngineError):
            # An ensemble does not say which of its models failed, and a group has several.
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(f"{self._name}: {answer}"))
        tensors = [pb_utils.Tensor(name, answer[name]) for name in self._outputs]
        return pb_utils.InferenceResponse(output_tensors=tensors)
