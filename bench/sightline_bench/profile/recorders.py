"""Engines that tell how long each of their layers took: OpenVINO's counters and ONNX Runtime's profile.

What they tell is plain data, as it goes from one process to another as JSON.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypedDict, runtime_checkable

from sightline.contract import Precision
from sightline.errors import LaunchError
from sightline_server.engines import (
    Arrays,
    EngineError,
    compile_openvino,
    import_onnxruntime,
    import_openvino,
    openvino_settings,
    readable_errors,
    session_options,
)

_UNTIMED = 3
"""First runs, in which engines allocate and choose code."""
_NOT_RUN = "not_executed"
_OPENVINO_PRECISIONS = {"f32": "fp32", "bf16": "bf16", "f16": "fp16", "u8": "int8", "i8": "int8"}
_LOOPS = ("Scan", "Loop", "If")
"""ONNX Runtime tells of what is inside them too."""
_EVENT_END = "_kernel_time"


class RawLayer(TypedDict):
    """What an engine tells of one layer.

    Attributes:
        name: its own name for it.
        kind: its word for what it does.
        implementation: the code that did it.
        milliseconds: mean of the runs.
        precision: of its arithmetic; empty where it does not tell.
        bytes_moved: read and written, weights too.
        covers: names of the operators of the ONNX graph that became this layer, as far as it tells.
        reads: shapes of what it takes.
        gives: shapes of what it gives.
    """

    name: str
    kind: str
    implementation: str
    milliseconds: float
    precision: str
    bytes_moved: int
    covers: list[str]
    reads: list[list[int]]
    gives: list[list[int]]


class Recording(TypedDict):
    """Layers in order, and the mean milliseconds of the same runs by the clock."""

    layers: list[RawLayer]
    wall_milliseconds: float


@runtime_checkable
class Recorder(Protocol):
    """An engine that tells about its layers."""

    version: str
    precision: str
    inputs: Sequence[str]

    def run(self, inputs: Mapping[str, Any]) -> Any:
        """Compute every output."""

    def record(self, inputs: Arrays, *, runs: int) -> Recording:
        """Run so many times, after a few that do not count.

        Raises:
            EngineError: the engine failed.
        """


def open_recorder(engine: str, file: Path, *, precision: Precision, threads: int) -> Recorder:
    """A graph in an engine that was told to count.

    Raises:
        MissingDependencyError: it is not installed.
        LaunchError: it cannot load the file.
    """
    if engine == "openvino":
        return OpenVinoRecorder(file, precision=precision, threads=threads)
    return OnnxRuntimeRecorder(file, threads=threads)


class OpenVinoRecorder:
    """OpenVINO as it is served, with its counters on."""

    def __init__(self, file: Path, *, precision: Precision, threads: int) -> None:
        self.version: str = import_openvino().__version__.partition("-")[0]
        self.precision: str = precision
        settings = {**openvino_settings(precision=precision, threads=threads), "PERF_COUNT": True}
        self._compiled = compile_openvino(file, settings)
        self._request = self._compiled.create_infer_request()
        self.inputs: Sequence[str] = [tensor.get_any_name() for tensor in self._compiled.inputs]
        self._runs = 0

    def run(self, inputs: Mapping[str, Any]) -> None:
        """Compute every output."""
        with readable_errors(EngineError, "OpenVINO failed"):
            self._request.infer(dict(inputs), share_inputs=True, share_outputs=True)
        self._runs += 1

    def record(self, inputs: Arrays, *, runs: int) -> Recording:
        """Means of the runs, which begin when the counters' own means, over all runs, are known."""
        for _ in range(_UNTIMED):
            self.run(inputs)
        before, runs_before = self._means(), self._runs
        started = time.perf_counter()
        for _ in range(runs):
            self.run(inputs)
        wall = (time.perf_counter() - started) / runs
        after = self._means()
        layers = []
        for layer in self._layers():
            if layer["name"] not in after:
                continue  # it works on constants, and ran once when the graph was compiled
            total = after[layer["name"]] * self._runs - before.get(layer["name"], 0.0) * runs_before
            layers.append({**layer, "milliseconds": max(0.0, total / runs)})
        return Recording(layers=_typed(layers), wall_milliseconds=1000 * wall)

    def _means(self) -> dict[str, float]:
        """Milliseconds of each layer that ran, over all runs so far."""
        counters = self._request.get_profiling_info()
        return {each.node_name: 1000 * each.real_time.total_seconds() for each in counters}

    def _layers(self) -> Iterator[dict[str, Any]]:
        """What ran, in order, without its time."""
        steps = [(step, _facts(step)) for step in self._compiled.get_runtime_model().get_ordered_ops()]
        for step, facts in sorted(steps, key=lambda each: int(each[1].get("execOrder", 0))):
            if facts.get("execTimeMcs", _NOT_RUN) == _NOT_RUN:
                continue
            reads = [(_shape(value), _bits(value)) for value in step.input_values()]
            gives = [(_shape(value), _bits(value)) for value in step.outputs()]
            yield {
                "name": step.get_friendly_name(),
                "kind": facts.get("layerType", ""),
                "implementation": facts.get("primitiveType", ""),
                "precision": _OPENVINO_PRECISIONS.get(facts.get("runtimePrecision", ""), ""),
                "bytes_moved": sum(math.prod(shape) * bits // 8 for shape, bits in (*reads, *gives)),
                "covers": [name for name in facts.get("originalLayersNames", "").split(",") if name],
                "reads": [shape for shape, _ in reads],
                "gives": [shape for shape, _ in gives],
            }


def _facts(step: Any) -> dict[str, str]:
    """What the runtime model says of a step."""
    return {name: str(getattr(value, "value", value)) for name, value in step.get_rt_info().items()}


def _shape(value: Any) -> list[int]:
    shape = value.get_partial_shape()
    return [side.get_length() if side.is_static else 1 for side in shape]


def _bits(value: Any) -> int:
    return int(value.get_element_type().bitwidth)


class OnnxRuntimeRecorder:
    """ONNX Runtime as it is served, writing a profile; it records once."""

    precision: str = "fp32"

    def __init__(self, file: Path, *, threads: int) -> None:
        onnxruntime = import_onnxruntime()
        self.version: str = onnxruntime.__version__
        self._folder = tempfile.TemporaryDirectory(prefix="sightline-profile-")
        options = session_options(threads=threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "profile")
        with readable_errors(LaunchError, f"ONNX Runtime cannot load {file}"):
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.inputs: Sequence[str] = [tensor.name for tensor in self._session.get_inputs()]

    def run(self, inputs: Mapping[str, Any]) -> None:
        """Compute every output."""
        with readable_errors(EngineError, "ONNX Runtime failed"):
            self._session.run(None, dict(inputs))

    def record(self, inputs: Arrays, *, runs: int) -> Recording:
        """Means of the last runs of the profile, which ends here."""
        for _ in range(_UNTIMED):
            self.run(inputs)
        started = time.perf_counter()
        for _ in range(runs):
            self.run(inputs)
        wall = (time.perf_counter() - started) / runs
        events = json.loads(Path(self._session.end_profiling()).read_text(encoding="utf-8"))
        self._folder.cleanup()
        return Recording(layers=parse_onnxruntime_profile(events, runs=runs), wall_milliseconds=1000 * wall)


def parse_onnxruntime_profile(events: Sequence[Mapping[str, Any]], *, runs: int) -> list[RawLayer]:
    """The layers of the last runs in a profile of ONNX Runtime, as its JSON holds it."""
    whole = sorted(event["ts"] for event in events if event["name"] == "model_run")
    begin = whole[-runs] if len(whole) >= runs else 0
    layers: dict[str, dict[str, Any]] = {}
    for event in events:
        if event["cat"] != "Node" or not event["name"].endswith(_EVENT_END) or event["ts"] < begin:
            continue
        if event["args"]["op_name"] in _LOOPS:
            continue
        name = event["name"].removesuffix(_EVENT_END)
        layer = layers.setdefault(name, _told(name, event["args"]))
        layer["milliseconds"] += event["dur"] / 1000 / runs
    return _typed(list(layers.values()))


def _told(name: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    sizes = ("activation_size", "parameter_size", "output_size")
    reads, gives = (facts.get(side, []) for side in ("input_type_shape", "output_type_shape"))
    kinds = {kind for typed in reads for kind in typed}
    return {
        "name": name,
        "kind": facts["op_name"],
        "implementation": facts.get("provider", ""),
        "milliseconds": 0.0,
        "precision": "int8" if kinds & {"int8", "uint8"} and facts["op_name"] != "Cast" else "fp32",
        "bytes_moved": sum(int(facts.get(size, 0)) for size in sizes),
        "covers": [],
        "reads": [shape for typed in reads for shape in typed.values()],
        "gives": [shape for typed in gives for shape in typed.values()],
    }


def _typed(layers: Sequence[Mapping[str, Any]]) -> list[RawLayer]:
    return [RawLayer(**layer) for layer in layers]  # type: ignore[typeddict-item]
