"""ONNX Runtime on a GPU, for inputs that lie there already."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from sightline.errors import LaunchError
from sightline_server.cuda import CudaDevice, Parts, open_device
from sightline_server.dlpack import Values
from sightline_server.engines import Arrays, EngineError, import_onnxruntime, readable_errors
from sightline_server.gpu import INSTALL_COMMAND

CUDA_PROVIDER = "CUDAExecutionProvider"


class Provider(NamedTuple):
    """One of ONNX Runtime's execution providers.

    Attributes:
        name: as ONNX Runtime lists it.
        memory: what it calls the memory that it computes in.
        options: for the session.
    """

    name: str
    memory: str
    options: Mapping[str, str]


CUDA = Provider(
    CUDA_PROVIDER,
    "cuda",
    MappingProxyType(
        {
            # By default it tries every algorithm of every layer whenever a batch has a size that is new.
            "cudnn_conv_algo_search": "HEURISTIC",
            # What says fp32 is fp32, and not 10 of its 23 bits.
            "use_tf32": "0",
            # Two instances of each network share a GPU: none takes twice of what it needs.
            "arena_extend_strategy": "kSameAsRequested",
        }
    ),
)


class OnnxRuntimeGpuEngine:
    """ONNX Runtime on a GPU, in fp32. Outputs come back to this process's memory: they are small.

    Args:
        file: the graph.
        device: the GPU.
        provider: what computes.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        LaunchError: it cannot compute on GPUs here, or cannot load the file.
    """

    name = "onnxruntime"
    precision: str = "fp32"

    def __init__(self, file: Path, *, device: CudaDevice, provider: Provider = CUDA) -> None:
        onnxruntime = import_onnxruntime()
        self.version: str = onnxruntime.__version__
        if lack := lacking_provider(onnxruntime.get_available_providers(), provider.name, self.version):
            raise LaunchError(lack)
        complaints = _load_libraries(onnxruntime)
        options = onnxruntime.SessionOptions()
        # What little runs on the CPU takes no core from the decoder while it waits.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # errors come as exceptions
        chosen = [(provider.name, {**provider.options, **_device_option(provider, device)})]
        with readable_errors(LaunchError, f"ONNX Runtime cannot load {file}"):
            self._session = onnxruntime.InferenceSession(str(file), options, providers=chosen)
        if provider.name not in self._session.get_providers():
            # It goes on with the CPU then, of itself.
            raise LaunchError(f"ONNX Runtime {self.version} cannot use CUDA here: {complaints or 'its log says why'}")
        self.inputs: Sequence[str] = [tensor.name for tensor in self._session.get_inputs()]
        self.outputs: Sequence[str] = [tensor.name for tensor in self._session.get_outputs()]
        self._provider, self._device = provider, device

    def run(self, inputs: Mapping[str, Values | Parts]) -> Arrays:
        """Compute every output from inputs of this process's memory or of any GPU's."""
        with readable_errors(EngineError, "ONNX Runtime failed"):
            binding = self._session.io_binding()
            for name, values in inputs.items():
                self._bind(binding, name, values)
            for name in self.outputs:
                binding.bind_output(name, "cpu")
            self._session.run_with_iobinding(binding)
            return dict(zip(self.outputs, binding.copy_outputs_to_cpu(), strict=True))

    def _bind(self, binding: Any, name: str, values: Values | Parts) -> None:
        if isinstance(values, np.ndarray):
            binding.bind_cpu_input(name, np.ascontiguousarray(values))
            return
        placed = self._device.place(name, values)
        binding.bind_input(
            name, self._provider.memory, self._device.index, placed.dtype.type, placed.shape, placed.pointer
        )


def open_on_gpu(file: Path, device: int) -> OnnxRuntimeGpuEngine:
    """The engine on the GPU of that number.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        LaunchError: it cannot compute on this GPU, or cannot load the file.
    """
    return OnnxRuntimeGpuEngine(file, device=open_device(device))


def lacking_provider(available: Sequence[str], wanted: str, version: str) -> str:
    """Why ONNX Runtime cannot compute as wanted, from the providers that it has; empty where it may be able to."""
    if wanted in available:
        return ""
    return f"the installed ONNX Runtime {version} is the one without GPUs: {INSTALL_COMMAND}"


def _device_option(provider: Provider, device: CudaDevice) -> dict[str, str]:
    return {"device_id": str(device.index)} if provider.memory == "cuda" else {}


def _load_libraries(onnxruntime: Any) -> str:
    """Load CUDA and cuDNN from Python packages where they are installed; what it complains of, on one line."""
    preload = getattr(onnxruntime, "preload_dlls", None)
    if preload is None:  # before 1.21: the system's own are looked for when a session begins
        return ""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        preload()
    return " ".join(said.getvalue().split())
