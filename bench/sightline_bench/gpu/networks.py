"""A detector's network by itself, on pictures that lie ready where it computes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sightline.contract import NUM_DETECTIONS
from sightline.errors import MeasurementError, MissingDependencyError
from sightline_bench.gpu.captured import CapturedOnnxRuntime
from sightline_bench.gpu.loop import Job
from sightline_bench.gpu.material import Model
from sightline_bench.gpu.plan import DEVICE, EngineAlone
from sightline_bench.gpu.plans import PlanFile, open_plan
from sightline_bench.gpu.survey import Place
from sightline_bench.profile.detector import (
    Arrays,
    Detector,
    find_detector,
    network_rows,
    picture_files,
    without_head,
)
from sightline_server.cpu import available_cores
from sightline_server.cuda import open_device
from sightline_server.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine
from sightline_server.onnx_gpu import open_on_gpu


@dataclass(kw_only=True)
class Network:
    """The files of a detector's network, what it is run on, and the engines that have it open.

    Attributes:
        detector: whose it is.
        alone: its graph without decoding of boxes, suppression and the way back to original pixels; None where that
            cannot be cut off, for the reason in `why_not`.
        why_not: see there.
        rows: inputs by name, a row for each picture.
        place: where it computes.
    """

    detector: Detector
    alone: Path | None
    why_not: str
    rows: Arrays
    place: Place
    _engines: dict[tuple[Path, int, int], Engine] = field(default_factory=dict)
    _plans: dict[Path, PlanFile] = field(default_factory=dict)

    def jobs(self, choice: EngineAlone, *, most: int) -> list[Job]:
        """What runs it once, for each stream.

        Args:
            choice: how.
            most: largest batch that this network will be asked for.

        Raises:
            SightlineError: the engine cannot be opened, or not in this way.
        """
        file = self._file(suppression=choice.suppression)
        given = self._batch(choice.batch)
        if choice.engine == "tensorrt":
            plan = self._plans.setdefault(file, PlanFile(self.detector, file, most=most))
            return [
                _counting(open_plan(plan, given, device=DEVICE, cuda_graph=choice.cuda_graph))
                for _ in range(choice.streams)
            ]
        if choice.cuda_graph:
            plain = self._engine(file, 0, 1)
            captured = CapturedOnnxRuntime(file, device=open_device(DEVICE))
            captured.capture(given, plain.run({name: given[name] for name in plain.inputs}))
            return [_counting(captured.replay)]
        return [self._job(file, stream, choice.streams, given) for stream in range(choice.streams)]

    def _job(self, file: Path, stream: int, streams: int, given: Arrays) -> Job:
        engine = self._engine(file, stream, streams)
        inputs: Mapping[str, Any] = {name: given[name] for name in engine.inputs}
        if self.place == "gpu":
            device = open_device(DEVICE)  # of its own, since it has one buffer for each name
            inputs = {name: device.place(name, values) for name, values in inputs.items()}
        return _counting(lambda: engine.run(inputs))

    def _engine(self, file: Path, stream: int, streams: int) -> Engine:
        """Opened once for all batches: what it allocates for one serves the next."""
        threads = max(1, available_cores() // streams) if self.place == "cpu" else 0
        key = (file, stream, threads)
        if key not in self._engines:
            self._engines[key] = open_on_gpu(file, DEVICE) if self.place == "gpu" else _open_on_cpu(file, threads)
        return self._engines[key]

    def _file(self, *, suppression: bool) -> Path:
        if suppression:
            return self.detector.network
        if self.alone is None:
            raise MeasurementError(f"the network has no part without suppression: {self.why_not}")
        return self.alone

    def _batch(self, size: int) -> Arrays:
        """Inputs for so many pictures: those that there are, again and again."""
        count = len(next(iter(self.rows.values())))
        return {name: np.ascontiguousarray(values[np.arange(size) % count]) for name, values in self.rows.items()}


@contextmanager
def open_network(model: Model, place: Place) -> Iterator[Network]:
    """The network of a detector, on the pictures that come with Sightline.

    Raises:
        SightlineError: the detector cannot be read.
    """
    detector = find_detector(model.repository, model.name)
    rows = network_rows(detector, picture_files(None))
    with without_head(detector) as (alone, why_not):
        yield Network(detector=detector, alone=alone, why_not=why_not, rows=rows, place=place)


def _open_on_cpu(file: Path, threads: int) -> Engine:
    try:
        return OpenVinoEngine(file, precision="fp32", threads=threads)
    except MissingDependencyError:
        return OnnxRuntimeEngine(file, threads=threads)


def _counting(run: Any) -> Job:
    def job() -> int | None:
        outputs = run()
        return int(outputs[NUM_DETECTIONS.name].sum()) if NUM_DETECTIONS.name in outputs else None

    return job
