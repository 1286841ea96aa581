"""This machine's engines, timed as they would serve: those for its GPU where it has one, else those for CPUs."""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.contract import MODEL_VERSION, ONNX_FILE, EngineInfo, ExportPrecision, network_name
from sightline.errors import LaunchError

if TYPE_CHECKING:
    import numpy.typing as npt

    from sightline_export.fastest import Timing
    from sightline_export.gate import NewDetector
    from sightline_server.engines import Engine

_ROUNDS = 15
_FOR_GPUS: tuple[ExportPrecision, ...] = ("fp32", "fp16")
_UNTIMED = 3
"""First runs, in which engines allocate."""


class EngineMachine:
    """This machine as the stand-in backend uses it: one instance with its share of the cores, or of a GPU.

    Args:
        gpu: number of the GPU that networks run on; None for the processor.
    """

    def __init__(self, gpu: int | None = None) -> None:
        self._gpu = gpu

    @classmethod
    def here(cls) -> EngineMachine:
        """With the first GPU where there is one that something installed can use."""
        from sightline_server.gpu import find_gpus, lacking_engine

        return cls(0 if find_gpus().count and not lacking_engine() else None)

    def lacks(self, precision: ExportPrecision) -> str:
        """Why it does not compute in a precision; empty where it does."""
        from sightline_server.engine_choice import choose_precision
        from sightline_server.engines import openvino_precisions

        if self._gpu is not None:
            return (
                "" if precision in _FOR_GPUS else f"{precision} is for CPUs, and networks run on GPU {self._gpu} here"
            )
        return choose_precision(precision, openvino_precisions()).reason

    def time(
        self, detectors: Mapping[ExportPrecision, NewDetector], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> Mapping[ExportPrecision, Timing]:
        """Median seconds of each network for the inputs, taking turns.

        In a process of its own: where an engine ends its process instead of raising, the export is not lost with it.

        Raises:
            LaunchError: an engine cannot load a network, or ended its process.
            MissingDependencyError: there is no engine.
        """
        from sightline_export.repository import install_detector

        with tempfile.TemporaryDirectory(prefix="sightline-timing-") as name:
            folders = {precision: Path(name) / precision for precision in detectors}
            for precision, each in detectors.items():
                install_detector(folders[precision], each.name, each.model, each.info, max_pixels=each.max_pixels)
            networks = {each: folders[each] / network_name(detector.name) for each, detector in detectors.items()}
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
                try:
                    return process.submit(_time, networks, dict(inputs), self._gpu).result()
                except BrokenProcessPool as error:
                    raise LaunchError(
                        f"the process that timed {', '.join(networks)} ended: an engine does not run here; export with "
                        "--precision fp32, whose gate says which engine does"
                    ) from error


def _time(
    networks: Mapping[ExportPrecision, Path], inputs: Mapping[str, npt.NDArray[Any]], gpu: int | None
) -> dict[ExportPrecision, Timing]:
    """Median seconds of each network, by its folder in a model repository; they take turns."""
    from sightline_export.fastest import Timing

    opened = {each: _open(folder, gpu) for each, folder in networks.items()}
    taken: dict[ExportPrecision, list[float]] = {precision: [] for precision in opened}
    for turn in range(_UNTIMED + _ROUNDS):
        for precision, (engine, _) in opened.items():
            started = time.perf_counter()
            engine.run(inputs)
            if turn >= _UNTIMED:
                taken[precision].append(time.perf_counter() - started)
    return {each: Timing(opened[each][1], statistics.median(seconds)) for each, seconds in taken.items()}


def _open(folder: Path, gpu: int | None) -> tuple[Engine, EngineInfo]:
    from google.protobuf.json_format import MessageToDict

    from sightline_export.config import CONFIG_FILE, parse
    from sightline_server.engine_choice import open_engine

    config = MessageToDict(parse((folder / CONFIG_FILE).read_text()), preserving_proto_field_name=True)
    return open_engine(config, folder / str(MODEL_VERSION) / ONNX_FILE, gpu)
