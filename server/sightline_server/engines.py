"""What computes a network behind one interface, and the engines for the CPU: OpenVINO and ONNX Runtime."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from sightline.contract import Precision
from sightline.errors import LaunchError, MissingDependencyError
from sightline_server.signal_stack import signal_stack_kept

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

_MAX_MESSAGE_LENGTH = 400
_SOURCE_PLACES = re.compile(r"(Exception from|Check '[^']*' failed at) \S+:\d+: ")


class EngineError(Exception):
    """An engine failed on these inputs; the message is its own, on one line."""


class Engine(Protocol):
    """One loaded graph, for one thread at a time.

    Attributes:
        name: `openvino`, `onnxruntime` or `tensorrt`.
        version: of that package.
        precision: arithmetic that it uses.
        inputs: names of the graph's inputs.
        outputs: names of its outputs.
    """

    name: str
    version: str
    precision: str
    inputs: Sequence[str]
    outputs: Sequence[str]

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Compute every output, by name; the arrays stay valid until the next call.

        Args:
            inputs: arrays; an engine for a GPU also takes `RawArray` and `Parts`.

        Raises:
            EngineError: the engine failed.
        """
        ...


class OnnxRuntimeEngine:
    """ONNX Runtime on the CPU, in fp32.

    Args:
        file: the graph.
        threads: threads that share the work of one run.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
        LaunchError: it cannot load the file.
    """

    name = "onnxruntime"
    precision: str = "fp32"

    def __init__(self, file: Path, *, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        self.version: str = onnxruntime.__version__
        options = session_options(threads=threads)
        with readable_errors(LaunchError, f"ONNX Runtime cannot load {file}"):
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs: Sequence[str] = [tensor.name for tensor in self._session.get_inputs()]
        self.outputs: Sequence[str] = [tensor.name for tensor in self._session.get_outputs()]

    def run(self, inputs: Mapping[str, Array]) -> Arrays:
        """Compute every output."""
        with readable_errors(EngineError, "ONNX Runtime failed"):
            values = self._session.run(self.outputs, dict(inputs))
        return dict(zip(self.outputs, values, strict=True))


class OpenVinoEngine:
    """OpenVINO on the CPU.

    Args:
        file: the graph.
        precision: arithmetic to use; see `openvino_precisions`.
        threads: threads that share the work of one run.

    Raises:
        MissingDependencyError: openvino is not installed.
        LaunchError: it cannot load the file.
    """

    name = "openvino"

    def __init__(self, file: Path, *, precision: Precision, threads: int) -> None:
        self.version: str = import_openvino().__version__.partition("-")[0]
        self.precision: str = precision
        compiled = compile_openvino(file, openvino_settings(precision=precision, threads=threads))
        self._request = compiled.create_infer_request()
        self.inputs: Sequence[str] = [tensor.get_any_name() for tensor in compiled.inputs]
        # A tensor may have names that OpenVINO gave it besides the graph's own; all of them lead to the same values.
        self._names = [sorted(tensor.get_names()) for tensor in compiled.outputs]
        self.outputs: Sequence[str] = [name for names in self._names for name in names]

    def run(self, inputs: Mapping[str, Array]) -> Arrays:
        """Compute every output."""
        with readable_errors(EngineError, "OpenVINO failed"):
            values = self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        arrays = [np.asarray(values[index]) for index in range(len(self._names))]
        return {name: array for names, array in zip(self._names, arrays, strict=True) for name in names}


def session_options(*, threads: int) -> Any:
    """How ONNX Runtime is to work on the CPU.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    options = import_onnxruntime().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that wait by spinning would take the core from the other instances and from the decoder.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # errors come as exceptions
    return options


def openvino_settings(*, precision: Precision, threads: int) -> dict[str, Any]:
    """How OpenVINO is to work on the CPU."""
    return {
        "INFERENCE_PRECISION_HINT": {"fp32": "f32", "bf16": "bf16"}[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Each instance is a process that knows nothing of the others: pinned, they would share the same core.
        "ENABLE_CPU_PINNING": False,
    }


def compile_openvino(file: Path, settings: Mapping[str, Any]) -> Any:
    """OpenVINO's compiled model of a graph, on the CPU.

    Raises:
        MissingDependencyError: openvino is not installed.
        LaunchError: it cannot load the file.
    """
    openvino = import_openvino()
    with readable_errors(LaunchError, f"OpenVINO cannot load {file}"), signal_stack_kept():
        return openvino.Core().compile_model(str(file), "CPU", dict(settings))


def openvino_precisions() -> tuple[Precision, ...]:
    """What this CPU computes in itself, rather than by converting back and forth.

    Raises:
        MissingDependencyError: openvino is not installed.
    """
    with signal_stack_kept():
        capabilities = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ("fp32", "bf16") if "BF16" in capabilities else ("fp32",)


def import_onnxruntime() -> Any:
    """The package, for the CPU or for GPUs: both have one name.

    Raises:
        MissingDependencyError: neither is installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(f"onnxruntime cannot be imported ({error}): pip install onnxruntime") from error
    return onnxruntime


def import_openvino() -> Any:
    """The package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError(f"openvino cannot be imported ({error}): pip install openvino") from error
    return openvino


@contextlib.contextmanager
def readable_errors(kind: type[Exception], what: str) -> Iterator[None]:
    """Raise `kind` for what engines raise: RuntimeError and a dozen kinds of their own, sharing only `Exception`."""
    try:
        yield
    except Exception as error:
        raise kind(f"{what}: {_shorten(str(error))}") from error


def _shorten(message: str) -> str:
    """One line, without the places in the engine's own sources that it goes through."""
    line = _SOURCE_PLACES.sub("", " ".join(message.split()))
    return line if len(line) <= _MAX_MESSAGE_LENGTH else f"{line[:_MAX_MESSAGE_LENGTH]} ..."
