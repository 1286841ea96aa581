"""What a measurement on a GPU needs, what of it is there, and what to do about the rest."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from sightline.errors import SightlineError
from sightline_bench.gpu import smi
from sightline_bench.gpu.absence import why_none
from sightline_server.gpu import CANNOT_SHARE, NO_GPUS, Gpus, find_gpus
from sightline_server.locate import locate_triton

Place = Literal["gpu", "cpu"]
ENGINE, TENSORRT, DALI, TRITON = "ONNX Runtime", "TensorRT", "DALI", "Triton"
DRIVER, WATCH, GRAPHS, PICTURES = "driver", smi.PROGRAM, "onnx", "OpenCV"
_WHEELS = "bring its wheel with bench/gpu_wheels.sh where there is no network"


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is there.

    Attributes:
        place: where is measured.
        there: what each part is, by its name.
        lacks: why each other part cannot be used.
        gpu: what `nvidia-smi` tells of the GPU.
    """

    place: Place
    there: Mapping[str, str]
    lacks: Mapping[str, str]
    gpu: Mapping[str, str] = field(default_factory=dict)

    @property
    def hopeless(self) -> str:
        """Why nothing at all can be measured; empty where something can."""
        if needed := [self.lacks[name] for name in (DRIVER, GRAPHS, PICTURES) if name in self.lacks]:
            return "; ".join(needed)
        if ENGINE in self.lacks and TENSORRT in self.lacks and DALI in self.lacks:
            return f"neither an engine nor DALI is installed: {self.lacks[ENGINE]}; {self.lacks[DALI]}"
        return ""

    def lines(self) -> list[str]:
        """For people, a line for each part."""
        told = [f"  {name:<13} {what}" for name, what in self.there.items()]
        return told + [f"  {name:<13} MISSING: {why}" for name, why in self.lacks.items()]


def survey(place: Place) -> Survey:
    """Look for everything."""
    gpus = find_gpus() if place == "gpu" else NO_GPUS
    there: dict[str, str] = {}
    lacks: dict[str, str] = {}

    def note(name: str, look: Callable[[], tuple[str, str]]) -> None:
        what, why = look()
        (lacks if why else there)[name] = why or what

    if place == "gpu":
        note(DRIVER, lambda: _driver(gpus))
        note(WATCH, lambda: ("samples use and memory", smi.lacking()))
        note(ENGINE, lambda: _package("onnxruntime", "onnxruntime-gpu", refuse=_without_cuda))
        note(TENSORRT, lambda: _package("tensorrt", "tensorrt", "tensorrt-cu13", "tensorrt-cu12"))
    else:
        there[DRIVER] = "not asked: a rehearsal on the processor"
        note(ENGINE, lambda: _package("onnxruntime", "onnxruntime", "onnxruntime-gpu"))
    note(DALI, lambda: _package("nvidia.dali", "nvidia-dali-cuda120", "nvidia-dali-cuda130"))
    note(GRAPHS, lambda: _package("onnx", "onnx"))
    note(PICTURES, lambda: _package("cv2", "opencv-python-headless", "opencv-python"))
    note(TRITON, lambda: _triton(gpus))
    return Survey(place=place, there=there, lacks=lacks, gpu=smi.describe() if place == "gpu" else {})


def _driver(gpus: Gpus) -> tuple[str, str]:
    if gpus.problem.startswith(CANNOT_SHARE):
        return "there, but for Triton", ""
    if lack := why_none(gpus):
        return "", lack
    return f"{gpus.count} GPU{'s' if gpus.count > 1 else ''}, of which the first is measured; {gpus.library}", ""


def _without_cuda() -> str:
    """Why the ONNX Runtime that is installed cannot compute on a GPU; empty where it may be able to."""
    import onnxruntime

    from sightline_server.onnx_gpu import CUDA_PROVIDER, lacking_provider

    return lacking_provider(onnxruntime.get_available_providers(), CUDA_PROVIDER, onnxruntime.__version__)


def _package(module: str, *distributions: str, refuse: Callable[[], str] = lambda: "") -> tuple[str, str]:
    """Version of a package, or why it cannot be used."""
    try:
        found = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in
        found = False
    if not found:
        return "", f"{distributions[0]} is not installed; {_WHEELS}"
    return _version(distributions), refuse()


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "of unknown version"


def _triton(gpus: Gpus) -> tuple[str, str]:
    if gpus.problem.startswith(CANNOT_SHARE):
        return "", gpus.problem
    try:
        files = locate_triton()
    except SightlineError as error:
        return "", f"{error}; {_WHEELS}"
    return str(files.binary), ""
