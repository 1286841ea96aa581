"""This machine's engines, timed as they would serve: those for its GPU where it has one, else those for CPUs."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.contract import MODEL_VERSION, ONNX_FILE, EngineInfo, ExportPrecision, network_name

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

        Raises:
            LaunchError: an engine cannot load a network.
            MissingDependencyError: there is no engine.
        """
        from sightline_export.fastest import Timing

        with tempfile.TemporaryDirectory(prefix="sightline-timing-") as name:
            opened = {each: _open(detector, Path(name) / each, self._gpu) for each, detector in detectors.items()}
            taken: dict[ExportPrecision, list[float]] = {precision: [] for precision in opened}
            for turn in range(_UNTIMED + _ROUNDS):
                for precision, (engine, _) in opened.items():
                    started = time.perf_counter()
                    engine.run(inputs)
                    if turn >= _UNTIMED:
                        taken[precision].append(time.perf_counter() - started)
        return {each: Timing(opened[each][1], statistics.median(seconds)) for each, seconds in taken.items()}


def _open(detector: NewDetector, repository: Path, gpu: int | None) -> tuple[Engine, EngineInfo]:
    from google.protobuf.json_format import MessageToDict

    from sightline_export.config import CONFIG_FILE, parse
    from sightline_export.repository import install_detector
    from sightline_server.engine_choice import open_engine

    install_detector(repository, detector.name, detector.model, detector.info, max_pixels=detector.max_pixels)
    folder = repository / network_name(detector.name)
    config = MessageToDict(parse((folder / CONFIG_FILE).read_text()), preserving_proto_field_name=True)
    return open_engine(config, folder / str(MODEL_VERSION) / ONNX_FILE, gpu)
