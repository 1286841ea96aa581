"""TensorRT on a plan that its Python package builds here: alone, with and without a CUDA graph."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import MeasurementError
from sightline_bench.profile.detector import Arrays, Detector
from sightline_export.tensorrt.network import plan_graph, read_served
from sightline_server.cuda import CudaDevice, open_device
from sightline_server.dlpack import RawArray
from sightline_server.gpu import DRIVER_LIBRARY
from sightline_server.tensorrt_engine import TensorRtEngine, import_tensorrt

_RELAXED = 2
"""CUDA's way to capture a stream that minds no other thread's calls."""


class PlanFile:
    """A plan that is built when it is first asked for, and gone with the object.

    Args:
        detector: whose network it is.
        graph: its served ONNX graph, or that without the head.
        most: largest batch.
    """

    def __init__(self, detector: Detector, graph: Path, *, most: int) -> None:
        self._detector, self._graph, self._most = detector, graph, most
        self._folder = tempfile.TemporaryDirectory(prefix="sightline-plan-")

    @property
    def precision(self) -> str:
        """Of the network."""
        return self._detector.info.precision

    @cached_property
    def path(self) -> Path:
        """The plan; of the whole graph with the static suppression, as `sightline tensorrt build` makes it.

        Raises:
            SightlineError: it cannot be built.
        """
        served = read_served(self._graph)
        if self._graph == self._detector.network:
            served = plan_graph(served, self._detector.info, "fp16" if self.precision == "fp16" else "fp32")
        file = Path(self._folder.name) / "model.plan"
        file.write_bytes(build_plan(served.SerializeToString(), most=self._most))
        return file


def open_plan(plan: PlanFile, given: Arrays, *, device: int, cuda_graph: bool) -> Callable[[], Arrays]:
    """What runs a plan on inputs that lie on the GPU, and brings its outputs to this process's memory.

    Raises:
        SightlineError: it cannot be built, or does not load.
    """
    place = open_device(device)
    kind = CapturedPlan if cuda_graph else TensorRtEngine
    engine = kind(plan.path, device=place, precision=plan.precision)
    inputs = {name: place.place(name, given[name]) for name in engine.inputs}
    if isinstance(engine, CapturedPlan):
        engine.capture(inputs)
        return engine.replay
    return lambda: engine.run(inputs)


class CapturedPlan(TensorRtEngine):
    """A plan whose run on inputs of one shape is one launch of a CUDA graph. Arguments as of `TensorRtEngine`."""

    def capture(self, inputs: Mapping[str, RawArray], driver: Any = None) -> None:
        """Run it once, which chooses addresses and shapes, and then remember a run.

        Args:
            inputs: by name, on the GPU, where they stay.
            driver: the driver's library.

        Raises:
            MeasurementError: CUDA or TensorRT refuses.
        """
        self._driver = ctypes.CDLL(DRIVER_LIBRARY) if driver is None else driver
        self._found = {name: np.empty_like(values) for name, values in self.run(inputs).items()}
        self._kept = inputs
        stream, graph, launched = ctypes.c_void_p(self._device.stream), ctypes.c_void_p(), ctypes.c_void_p()
        self._call("cuStreamBeginCapture_v2", stream, ctypes.c_int(_RELAXED))
        self._check(self._context.execute_async_v3(self._device.stream), "the run that is captured")
        self._call("cuStreamEndCapture", stream, ctypes.byref(graph))
        self._call("cuGraphInstantiateWithFlags", ctypes.byref(launched), graph, ctypes.c_ulonglong(0))
        self._graph = launched

    def replay(self) -> Arrays:
        """Launch it; as `run`, with the inputs as they are now where `capture` was given them."""
        device: CudaDevice = self._device
        device.make_current()
        self._call("cuGraphLaunch", self._graph, ctypes.c_void_p(device.stream))
        for name, values in self._found.items():
            device.copy(values.ctypes.data, device.buffer(name, values.nbytes), values.nbytes)
        device.synchronize()
        return self._found

    def _call(self, name: str, *arguments: object) -> None:
        status: int = getattr(self._driver, name)(*arguments)
        if status:
            raise MeasurementError(f"{name} fails with CUDA error {status}")


def build_plan(graph: bytes, *, most: int) -> bytes:
    """The plan of a serialised ONNX graph whose every input has a batch axis, for 1 to `most` images.

    The types are the graph's own; nothing is computed in TF32, as `sightline tensorrt build` has it.

    Raises:
        MissingDependencyError: tensorrt is not installed.
        MeasurementError: TensorRT builds none.
    """
    tensorrt = import_tensorrt()
    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    typed = getattr(tensorrt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)  # the only way since TensorRT 11
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(graph):
        errors = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise MeasurementError(f"TensorRT {tensorrt.__version__} cannot read the graph: {errors}")
    config = builder.create_builder_config()
    config.add_optimization_profile(_profile(builder, network, most))
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise MeasurementError(f"TensorRT {tensorrt.__version__} builds no plan of the graph; its log says why")
    return bytes(plan)


def _profile(builder: Any, network: Any, most: int) -> Any:
    profile = builder.create_optimization_profile()
    for index in range(network.num_inputs):
        tensor = network.get_input(index)
        sizes = [(count, *tuple(tensor.shape)[1:]) for count in (1, max(1, most // 2), most)]
        profile.set_shape(tensor.name, *sizes)
    return profile
