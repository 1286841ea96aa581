"""Stand-in for Triton's native ONNX Runtime backend: runs a model's own `model.onnx` on the CPU, from Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

from sightline_server.batching import Answer, run_requests
from sightline_server.engine_choice import open_engine
from sightline_server.engine_report import record_engine
from sightline_server.engines import Arrays, EngineError


class TritonPythonModel:
    """One instance of a model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Open the model's engine."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"])
        file = folder / args["model_version"] / (config["default_model_filename"] or "model.onnx")
        self._inputs = [tensor["name"] for tensor in config["input"]]
        self._outputs = [tensor["name"] for tensor in config["output"]]
        self._batched = int(config["max_batch_size"]) > 0
        self._engine, info = open_engine(config, folder, file)
        record_engine(args["model_name"], info)
        log = pb_utils.Logger.log_warn if info.reason else pb_utils.Logger.log_info
        log(
            f"{args['model_instance_name']}: {info.engine} {info.version} in {info.precision}, threads: {info.threads}"
            + (f"; {info.reason}" if info.reason else "")
        )

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request of a dynamic batch."""
        inputs = [self._read(request) for request in requests]
        return [self._respond(answer) for answer in run_requests(self._engine, inputs, batched=self._batched)]

    def _read(self, request: Any) -> Arrays:
        """The request's inputs where they lie; they are there until it is answered."""
        return {name: np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name)) for name in self._inputs}

    def _respond(self, answer: Answer) -> Any:
        if isinstance(answer, EngineError):
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(answer)))
        tensors = [pb_utils.Tensor(name, answer[name]) for name in self._outputs]
        return pb_utils.InferenceResponse(output_tensors=tensors)
