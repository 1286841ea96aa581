"""Chooses the engine of a model: OpenVINO where it proves itself, else ONNX Runtime; and says which, and why."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.contract import PRECISION_PARAMETER, PRECISIONS, EngineInfo, Precision
from sightline.errors import LaunchError, MissingDependencyError
from sightline_server import environment
from sightline_server.cpu import threads_per_instance
from sightline_server.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine, openvino_precisions
from sightline_server.samples import DTYPES, sample_inputs
from sightline_server.smoke_test import try_openvino


@dataclass(frozen=True)
class Wish:
    """What a model asks for, and what of it this CPU can do.

    Attributes:
        precision: arithmetic to use.
        reason: why it is not the one that the model asks for; empty where it is.
    """

    precision: Precision
    reason: str = ""


def open_engine(config: Mapping[str, Any], model_folder: Path, file: Path) -> tuple[Engine, EngineInfo]:
    """The engine of one instance, and what to tell about it.

    Args:
        config: the model's configuration as Triton hands it to the backend.
        model_folder: the model's folder.
        file: its ONNX graph.

    Raises:
        MissingDependencyError: ONNX Runtime would be needed and is not installed.
        LaunchError: no engine can load the graph, or its tensors are not those of the configuration.
    """
    _check_types(config)
    threads = threads_per_instance(config)
    asked = config.get("parameters", {}).get(PRECISION_PARAMETER, {}).get("string_value", "fp32")
    engine: Engine
    try:
        wish = choose_precision(asked, openvino_precisions())
        problem = _proof(config, model_folder, file, wish.precision)
    except MissingDependencyError as error:
        wish, problem = choose_precision(asked, ("fp32",)), str(error)
    if problem:
        engine = OnnxRuntimeEngine(file, threads=threads)
        reason = f"{problem}; ONNX Runtime knows fp32 only" if asked != "fp32" else problem
    else:
        engine = OpenVinoEngine(file, precision=wish.precision, threads=threads)
        reason = wish.reason
    _check_names("input", config["input"], engine.inputs, file)
    _check_names("output", config["output"], engine.outputs, file)
    info = EngineInfo(
        engine=engine.name, version=engine.version, precision=engine.precision, threads=threads, reason=reason
    )
    return engine, info


def _check_types(config: Mapping[str, Any]) -> None:
    for tensor in [*config["input"], *config["output"]]:
        if tensor["data_type"] not in DTYPES:
            raise LaunchError(f"tensor {tensor['name']!r} is {tensor['data_type']}; served are {', '.join(DTYPES)}")


def _check_names(kind: str, declared: Sequence[Mapping[str, Any]], present: Sequence[str], file: Path) -> None:
    for name in (tensor["name"] for tensor in declared):
        if name not in present:
            raise LaunchError(f"config.pbtxt: {file.name} has no {kind} {name!r}; it has {', '.join(present)}")


def choose_precision(asked: str, available: tuple[Precision, ...]) -> Wish:
    """The precision that is asked for, or fp32 with the reason."""
    for precision in available:
        if precision == asked:
            return Wish(precision)
    if asked in PRECISIONS:
        return Wish("fp32", f"this CPU has no {asked}")
    return Wish("fp32", f"precision {asked!r} is not for CPUs ({', '.join(PRECISIONS)})")


def _proof(config: Mapping[str, Any], model_folder: Path, file: Path, precision: Precision) -> str:
    """What `try_openvino` says, asked once for all instances of a run."""
    inputs = sample_inputs(config, model_folder)
    run_folder = environment.run_folder()
    if run_folder is None:
        return try_openvino(file, inputs, precision)
    stat = file.stat()
    key = hashlib.sha256(f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns} {precision}".encode()).hexdigest()
    verdict = run_folder / f"smoke-{key[:16]}"
    with _locked(verdict.with_suffix(".lock")):
        if not verdict.exists():
            verdict.write_text(try_openvino(file, inputs, precision), encoding="utf-8")
        return verdict.read_text(encoding="utf-8")


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock among processes; it ends with the process, however that ends."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
