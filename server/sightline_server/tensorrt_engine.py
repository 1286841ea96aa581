"""TensorRT's own Python package, on a plan that was built for this GPU and this version."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import LaunchError, MissingDependencyError
from sightline_server.cuda import CudaDevice, Parts
from sightline_server.dlpack import RawArray, Values
from sightline_server.engines import Arrays, EngineError
from sightline_server.gpu import CudaError

BUILD_COMMAND = "sightline tensorrt build"
_KEPT_MESSAGES = 5


class TensorRtEngine:
    """TensorRT on a GPU. Outputs come back to this process's memory: they are small.

    Args:
        file: the plan.
        device: the GPU.
        precision: what the plan's network computes in, to tell of.
        tensorrt: the package.

    Raises:
        MissingDependencyError: tensorrt is not installed.
        LaunchError: the plan is not for this TensorRT or this GPU.
    """

    name = "tensorrt"

    def __init__(self, file: Path, *, device: CudaDevice, precision: str, tensorrt: Any = None) -> None:
        package = import_tensorrt() if tensorrt is None else tensorrt
        self.version: str = package.__version__
        self.precision = precision
        self._device = device
        self._said = _listener(package)
        self._runtime = package.Runtime(self._said)
        self._engine = self._runtime.deserialize_cuda_engine(file.read_bytes())
        if self._engine is None:
            raise LaunchError(
                f"TensorRT {self.version} cannot load {file}: {self._said.words()}; a plan runs only on the version "
                f"and the kind of GPU that built it, so build it again here: {BUILD_COMMAND}"
            )
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise LaunchError(f"TensorRT {self.version} has no room for {file} on this GPU: {self._said.words()}")
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        entering = package.TensorIOMode.INPUT
        self.inputs: Sequence[str] = [name for name in names if self._engine.get_tensor_mode(name) == entering]
        self.outputs: Sequence[str] = [name for name in names if name not in self.inputs]
        self._dtypes = {name: np.dtype(package.nptype(self._engine.get_tensor_dtype(name))) for name in names}
        self._profile = 0

    def run(self, inputs: Mapping[str, Values | Parts]) -> Arrays:
        """Compute every output from inputs of this process's memory or of any GPU's."""
        try:
            self._device.make_current()
            placed = {name: self._device.place(name, inputs[name]) for name in self.inputs}
            self._choose_profile({name: values.shape for name, values in placed.items()})
            for name, values in placed.items():
                self._enter(name, values)
            return self._compute()
        except CudaError as error:
            raise EngineError(str(error)) from error

    def _choose_profile(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Take the plan's first set of shapes that these belong to."""
        count: int = self._engine.num_optimization_profiles
        fitting = next((index for index in range(count) if self._fits(index, shapes)), None)
        if fitting is None:
            limits = {name: tuple(map(tuple, self._engine.get_tensor_profile_shape(name, 0))) for name in shapes}
            raise EngineError(f"TensorRT: the plan takes no {dict(shapes)}; it takes (least, best, most) {limits}")
        if fitting != self._profile:
            self._check(self._context.set_optimization_profile_async(fitting, self._device.stream), "the profile")
            self._profile = fitting

    def _fits(self, profile: int, shapes: Mapping[str, tuple[int, ...]]) -> bool:
        for name, shape in shapes.items():
            least, _best, most = self._engine.get_tensor_profile_shape(name, profile)
            if len(shape) != len(tuple(least)):
                return False
            if not all(low <= size <= high for low, size, high in zip(least, shape, most, strict=True)):
                return False
        return True

    def _enter(self, name: str, values: RawArray) -> None:
        if values.dtype != self._dtypes[name]:
            raise EngineError(f"TensorRT: input {name!r} is {values.dtype}, the plan takes {self._dtypes[name]}")
        self._check(self._context.set_input_shape(name, values.shape), f"input {name!r} of shape {values.shape}")
        self._check(self._context.set_tensor_address(name, values.pointer), f"input {name!r}")

    def _compute(self) -> Arrays:
        found = {}
        for name in self.outputs:
            shape = tuple(self._context.get_tensor_shape(name))
            size = max(1, math.prod(shape) * self._dtypes[name].itemsize)
            found[name] = (self._device.buffer(name, size), np.empty(shape, self._dtypes[name]))
            self._check(self._context.set_tensor_address(name, found[name][0]), f"output {name!r}")
        self._check(self._context.execute_async_v3(self._device.stream), "the run")
        for pointer, values in found.values():
            self._device.copy(values.ctypes.data, pointer, values.nbytes)
        self._device.synchronize()
        return {name: values for name, (_pointer, values) in found.items()}

    def _check(self, succeeded: bool, what: str) -> None:
        if not succeeded:
            raise EngineError(f"TensorRT failed at {what}: {self._said.words()}")


def import_tensorrt() -> Any:
    """TensorRT's Python package.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise MissingDependencyError(
            f"a TensorRT plan needs the package tensorrt ({error}): pip install tensorrt-cu13, or tensorrt-cu12 for a "
            "driver older than 580, of the version that built the plan; or serve the ONNX models, without --repository "
            "of plans"
        ) from error
    return tensorrt


def _listener(package: Any) -> Any:
    """A logger that remembers the last warnings and errors, which TensorRT gives nowhere else."""

    class Listener(package.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            package.ILogger.__init__(self)
            self._messages: list[str] = []

        def log(self, severity: Any, message: str) -> None:
            if severity in (package.ILogger.INTERNAL_ERROR, package.ILogger.ERROR, package.ILogger.WARNING):
                self._messages = [*self._messages, message][-_KEPT_MESSAGES:]

        def words(self) -> str:
            """What was said since the last time, on one line."""
            said, self._messages = " ".join("; ".join(self._messages).split()), []
            return said or "it does not say why"

    return Listener()
