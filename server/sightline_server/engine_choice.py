"""Chooses the engine of a model, and says which it is, and why.

On a GPU ONNX Runtime, on the CPU OpenVINO, each where it proves itself; else ONNX Runtime on the CPU.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sightline.contract import PRECISION_PARAMETER, PRECISIONS, Device, EngineInfo, Precision
from sightline.errors import LaunchError, MissingDependencyError
from sightline_server import environment
from sightline_server.cpu import most_threads, threads_per_instance
from sightline_server.cuda import open_device
from sightline_server.elastic import ElasticEngine, OneByOneEngine, PresentEngine
from sightline_server.engines import Arrays, Engine, OnnxRuntimeEngine, OpenVinoEngine, openvino_precisions
from sightline_server.onnx_gpu import open_on_gpu
from sightline_server.presence import Presence
from sightline_server.samples import DTYPES, sample_inputs
from sightline_server.smoke_test import try_engine
from sightline_server.tensorrt_engine import TensorRtEngine

_PIECE_BYTES = 2**20


@dataclass(frozen=True)
class Wish:
    """What a model asks for, and what of it this CPU can do.

    Attributes:
        precision: arithmetic to use.
        reason: why it is not the one that the model asks for; empty where it is.
    """

    precision: Precision
    reason: str = ""


def open_engine(config: Mapping[str, Any], file: Path, device: int | None = None) -> tuple[Engine, EngineInfo]:
    """The engine of one instance, and what to tell about it.

    Args:
        config: the model's configuration as Triton hands it to the backend.
        file: its ONNX graph.
        device: number of the GPU that Triton gave this instance; None for the CPU.

    Raises:
        MissingDependencyError: ONNX Runtime would be needed and is not installed.
        LaunchError: no engine can load the graph, or its tensors are not those of the configuration.
    """
    _check_types(config)
    if device is None:
        engine, info = _open_on_cpu(config, file)
    else:
        problem = _proof(config, file, "fp32", device)
        if problem:
            engine, info = _open_on_cpu(config, file)
            info = replace(info, reason="; ".join(filter(None, [f"on the CPU: {problem}", info.reason])))
        else:
            engine, info = _open_on_gpu(config, file, device)
    _check_names("input", config["input"], engine.inputs, file)
    _check_names("output", config["output"], engine.outputs, file)
    return engine, info


def open_plan(config: Mapping[str, Any], file: Path, device: int | None) -> tuple[Engine, EngineInfo]:
    """TensorRT for one instance, and what to tell about it.

    Args:
        config: the model's configuration as Triton hands it to the backend.
        file: the plan.
        device: number of the GPU that Triton gave this instance; None for the CPU.

    Raises:
        MissingDependencyError: TensorRT is not installed.
        LaunchError: there is no GPU, the plan is not for it, or its tensors are not those of the configuration.
    """
    _check_types(config)
    if device is None:
        raise LaunchError(
            f"{file.name} is a TensorRT plan, which runs only on the kind of GPU that built it, and this server "
            "computes on the CPU: it needs the GPU and the package tensorrt; or serve the repository of the ONNX models"
        )
    engine = TensorRtEngine(file, device=open_device(device), precision=_asked(config))
    _check_names("input", config["input"], engine.inputs, file)
    _check_names("output", config["output"], engine.outputs, file)
    return engine, _info(engine, threads_per_instance(config), device="gpu")


def _open_on_gpu(config: Mapping[str, Any], file: Path, device: int) -> tuple[Engine, EngineInfo]:
    engine = open_on_gpu(file, device)
    for batch_size in range(int(config["max_batch_size"]), 0, -1):
        # Each size makes the GPU's libraries choose and load code, which clients are not to wait for. The largest comes
        # first: what is allocated for it holds the others, where growing sizes would each take more.
        engine.run(sample_inputs(config, batch_size))
    asked = _asked(config)
    computes = "fp16" if asked == "fp16" else engine.precision
    reason = "" if asked == computes else f"{asked} is for CPUs, ONNX Runtime on a GPU computes it in fp32"
    return engine, _info(engine, threads_per_instance(config), computes=computes, device="gpu", reason=reason)


def _open_on_cpu(config: Mapping[str, Any], file: Path) -> tuple[Engine, EngineInfo]:
    threads = threads_per_instance(config)
    asked = _asked(config)
    open_with: Callable[..., Engine]
    try:
        wish = choose_precision(asked, openvino_precisions())
        problem = _proof(config, file, wish.precision)
    except MissingDependencyError as error:
        wish, problem = choose_precision(asked, ("fp32",)), str(error)
    if problem:
        open_with = partial(OnnxRuntimeEngine, file)
        reason = f"{problem}; ONNX Runtime knows fp32 only" if asked not in ("fp32", "int8") else problem
    else:
        open_with = partial(OpenVinoEngine, file, precision=wish.precision)
        reason = wish.reason
    engine = _among_others(config, open_with)
    computes = asked if asked == "int8" else engine.precision
    info = _info(engine, threads, computes=computes, reason=reason)
    return engine, replace(info, most_threads=most_threads(config)) if isinstance(engine, ElasticEngine) else info


def _among_others(config: Mapping[str, Any], open_with: Callable[..., Engine]) -> Engine:
    """An engine for the CPU; in a run of the launcher it knows when the run's other instances compute.

    Args:
        config: the model's configuration.
        open_with: opens an engine with so many `threads`.
    """
    threads, most = threads_per_instance(config), most_threads(config)
    engine = open_with(threads=threads)
    batched = int(config["max_batch_size"]) > 0
    run_folder = environment.run_folder()
    if run_folder is None:
        return OneByOneEngine(engine, batched=batched)
    presence = Presence(run_folder)
    if most == threads:
        return PresentEngine(engine, presence, batched=batched)
    return ElasticEngine(
        engine,
        partial(open_with, threads=most),
        presence,
        batched=batched,
        warm_ups=sum(max(1, int(each.get("count", 1))) for each in config.get("model_warmup", [])),
    )


def _asked(config: Mapping[str, Any]) -> str:
    precision: str = config.get("parameters", {}).get(PRECISION_PARAMETER, {}).get("string_value", "fp32")
    return precision


def _info(
    engine: Engine, threads: int, *, computes: str | None = None, device: Device = "cpu", reason: str = ""
) -> EngineInfo:
    """What to tell of an engine; `computes` is the arithmetic of its layers where the graph's types decide it."""
    return EngineInfo(
        engine=engine.name,
        version=engine.version,
        precision=computes or engine.precision,
        threads=threads,
        device=device,
        reason=reason,
    )


def _check_types(config: Mapping[str, Any]) -> None:
    for tensor in [*config["input"], *config["output"]]:
        if tensor["data_type"] not in DTYPES:
            raise LaunchError(f"tensor {tensor['name']!r} is {tensor['data_type']}; served are {', '.join(DTYPES)}")


def _check_names(kind: str, declared: Sequence[Mapping[str, Any]], present: Sequence[str], file: Path) -> None:
    for name in (tensor["name"] for tensor in declared):
        if name not in present:
            raise LaunchError(f"config.pbtxt: {file.name} has no {kind} {name!r}; it has {', '.join(present)}")


def choose_precision(asked: str, available: tuple[Precision, ...]) -> Wish:
    """What the engine is to be asked for: fp32 with the reason where the CPU cannot compute what the model wants.

    The numbers of 8 bits of an `int8` model stand in its graph, and the rest of it is fp32.
    """
    if asked == "int8":
        return Wish("fp32")
    if asked == "fp16":
        return Wish("fp32", "fp16 is for GPUs: a CPU computes it in fp32")
    for precision in available:
        if precision == asked:
            return Wish(precision)
    if asked in PRECISIONS:
        return Wish("fp32", f"this CPU has no {asked}")
    return Wish("fp32", f"precision {asked!r} is not for CPUs ({', '.join(PRECISIONS)})")


def _proof(config: Mapping[str, Any], file: Path, precision: Precision, device: int | None = None) -> str:
    """What `try_engine` says, asked once for all instances of a run, and for all models with the same graph."""
    inputs = sample_inputs(config)
    run_folder = environment.run_folder()
    if run_folder is None:
        return try_engine(file, inputs, precision, device=device)
    verdict = run_folder / f"smoke-{_subject(file, inputs, precision, device)}"
    with _locked(verdict.with_suffix(".lock")):
        if not verdict.exists():
            verdict.write_text(try_engine(file, inputs, precision, device=device), encoding="utf-8")
        return verdict.read_text(encoding="utf-8")


def _subject(file: Path, inputs: Arrays, precision: Precision, device: int | None) -> str:
    """A name for what is tried: the graph by its content, as copies of it behave alike."""
    subject = hashlib.sha256(f"{precision} {device}".encode())
    with file.open("rb") as graph:
        while piece := graph.read(_PIECE_BYTES):
            subject.update(piece)
    for name, values in sorted(inputs.items()):
        subject.update(f"{name} {values.shape} {values.dtype}".encode())
    return subject.hexdigest()[:32]


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock among processes; it ends with the process, however that ends."""
    with file.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
