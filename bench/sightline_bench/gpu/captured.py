"""ONNX Runtime with a whole run captured as a CUDA graph, which is then launched at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import LaunchError
from sightline_bench.profile.detector import Arrays
from sightline_server.engines import EngineError, import_onnxruntime, readable_errors
from sightline_server.onnx_gpu import CUDA, load_libraries

_CAPTURE = {"enable_cuda_graph": "1"}


class CapturedOnnxRuntime:
    """A graph for inputs of one shape, which stay where they are on the GPU, as do its outputs.

    Args:
        file: the ONNX graph.
        inputs: what it is run on, by name.
        outputs: what it gives for inputs of these shapes; only types and shapes are taken.
        device: number of the GPU.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        LaunchError: it cannot load the graph so, as when a part of it does not run on the GPU.
    """

    def __init__(self, file: Path, inputs: Mapping[str, Any], outputs: Arrays, *, device: int) -> None:
        onnxruntime = import_onnxruntime()
        load_libraries(onnxruntime)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors come as exceptions
        chosen = [(CUDA.name, {**CUDA.options, **_CAPTURE, "device_id": str(device)})]
        with readable_errors(LaunchError, f"ONNX Runtime captures no CUDA graph of {file.name}"):
            self._session = onnxruntime.InferenceSession(str(file), options, providers=chosen)
            self._binding = self._session.io_binding()
            of_numpy, of_shape = (
                onnxruntime.OrtValue.ortvalue_from_numpy,
                onnxruntime.OrtValue.ortvalue_from_shape_and_type,
            )
            self._inputs = {name: of_numpy(values, CUDA.memory, device) for name, values in inputs.items()}
            self._outputs = {
                name: of_shape(list(values.shape), values.dtype.type, CUDA.memory, device)
                for name, values in outputs.items()
            }
            for name, value in self._inputs.items():
                self._binding.bind_ortvalue_input(name, value)
            for name, value in self._outputs.items():
                self._binding.bind_ortvalue_output(name, value)

    def run(self) -> Arrays:
        """Compute; the outputs come back to this process's memory, as those of the engine without a graph do.

        Raises:
            EngineError: it failed.
        """
        with readable_errors(EngineError, "ONNX Runtime failed"):
            self._session.run_with_iobinding(self._binding)
            return {name: value.numpy() for name, value in self._outputs.items()}
