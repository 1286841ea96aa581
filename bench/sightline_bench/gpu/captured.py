"""ONNX Runtime with a whole run captured as a CUDA graph, which is then launched at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sightline_bench.profile.detector import Arrays
from sightline_server.cuda import CudaDevice
from sightline_server.engines import EngineError, import_onnxruntime, readable_errors
from sightline_server.onnx_gpu import CUDA, OnnxRuntimeGpuEngine, Provider

CAPTURING = CUDA._replace(options=MappingProxyType({**CUDA.options, "enable_cuda_graph": "1"}))
"""The provider that is served with, told to capture."""


class CapturedOnnxRuntime(OnnxRuntimeGpuEngine):
    """A graph for inputs of one shape, which stay where they are on the GPU, as do its outputs.

    Args:
        file: the ONNX graph.
        device: the GPU.
        provider: what computes.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        LaunchError: it cannot load the graph so, as when a part of it does not run on the GPU.
    """

    def __init__(self, file: Path, *, device: CudaDevice, provider: Provider = CAPTURING) -> None:
        super().__init__(file, device=device, provider=provider)

    def capture(self, inputs: Mapping[str, Any], outputs: Arrays) -> None:
        """Lay everything where the graph is to find it.

        Args:
            inputs: what it is run on, by name.
            outputs: what it gives for inputs of these shapes; only types and shapes are taken.

        Raises:
            EngineError: the GPU has no room.
        """
        values, place = import_onnxruntime().OrtValue, (self._provider.memory, self._device.index)
        with readable_errors(EngineError, "ONNX Runtime failed"):
            self._inputs = {name: values.ortvalue_from_numpy(inputs[name], *place) for name in self.inputs}
            self._outputs = {
                name: values.ortvalue_from_shape_and_type(list(like.shape), like.dtype.type, *place)
                for name, like in outputs.items()
            }
            self._binding = self._session.io_binding()
            for name, value in self._inputs.items():
                self._binding.bind_ortvalue_input(name, value)
            for name, value in self._outputs.items():
                self._binding.bind_ortvalue_output(name, value)

    def replay(self) -> Arrays:
        """Compute; the outputs come back to this process's memory, as those of the engine without a graph do.

        The first time it runs without a graph, the second time it captures one.

        Raises:
            EngineError: it failed.
        """
        with readable_errors(EngineError, "ONNX Runtime failed"):
            self._session.run_with_iobinding(self._binding)
            return {name: value.numpy() for name, value in self._outputs.items()}
