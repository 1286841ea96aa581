"""The parts of an exported detector, opened in this process as the server would open them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from google.protobuf.json_format import MessageToDict

from sightline.contract import (
    DEFAULT_SCORE_THRESHOLD,
    MODEL_VERSION,
    NUM_DETECTIONS,
    ONNX_FILE,
    ORIGINAL_SHAPE,
    RECTANGLE,
    SCORE_THRESHOLD,
    network_name,
)
from sightline_export.config import CONFIG_FILE, parse
from sightline_server.cpu import available_cores
from sightline_server.engine_choice import open_engine
from sightline_server.engines import Engine
from sightline_server.pipeline import Pictures, Pipeline

Item = TypeVar("Item")


class Parts(NamedTuple):
    """What one worker needs: its own decoder and its own engine; `inputs` are the names of the network's."""

    pipeline: Pipeline
    engine: Engine
    inputs: tuple[str, ...]

    def decode(self, paths: Sequence[str]) -> Pictures:
        """Pictures of the network's size."""
        return self.pipeline.run([Path(path).read_bytes() for path in paths])

    def detect(self, pictures: Pictures) -> int:
        """Objects in them, at the threshold that clients have by default.

        Pictures of one rectangle are computed together, as the server does; squares are all alike.
        """
        alike, places = np.unique(pictures.rectangles_hw, axis=0, return_inverse=True)
        return sum(
            self._detect_alike(pictures, np.flatnonzero(places.reshape(-1) == each)) for each in range(len(alike))
        )

    def _detect_alike(self, pictures: Pictures, chosen: npt.NDArray[np.int64]) -> int:
        images, shapes, rectangles_hw = pictures
        whole = len(chosen) == len(images)
        given = {
            # No copy where there is nothing to choose.
            "images": images if whole else images[chosen],
            ORIGINAL_SHAPE.name: shapes if whole else shapes[chosen],
            RECTANGLE.name: np.zeros((len(chosen), *rectangles_hw[chosen[0]]), RECTANGLE.dtype),
            SCORE_THRESHOLD.name: np.full((len(chosen), 1), DEFAULT_SCORE_THRESHOLD, np.float32),
        }
        outputs = self.engine.run({name: given[name] for name in self.inputs})
        return int(outputs[NUM_DETECTIONS.name].sum())


def open_parts(repository: Path, model: str, *, workers: int) -> list[Parts]:
    """For so many workers, which share the cores evenly."""
    network = _config(repository, network_name(model))
    network["instance_group"] = [{"count": workers}]
    file = preprocessing_file(repository, model)
    folder = repository / network_name(model)
    inputs = tuple(tensor["name"] for tensor in network["input"])
    parts = []
    for _ in range(workers):
        engine, _ = open_engine(network, folder / str(MODEL_VERSION) / ONNX_FILE)
        threads = max(1, available_cores() // workers)
        pipeline = Pipeline(file, max_batch_size=int(network["max_batch_size"]), threads=threads)
        parts.append(Parts(pipeline, engine, inputs))
    return parts


@contextmanager
def taken(free: SimpleQueue[Parts]) -> Iterator[Parts]:
    """One that is free; it is put back even where it failed, for others wait for it."""
    parts = free.get()
    try:
        yield parts
    finally:
        free.put(parts)


def preprocessing_file(repository: Path, model: str) -> Path:
    """The `dali.py` of a detector's first step."""
    step: str = _config(repository, model)["ensemble_scheduling"]["step"][0]["model_name"]
    name: str = _config(repository, step)["default_model_filename"]
    return repository / step / str(MODEL_VERSION) / name


def batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive ones of `size`, and what is left."""
    return (items[start : start + size] for start in range(0, len(items), size))


def _config(repository: Path, model: str) -> dict[str, Any]:
    config = parse((repository / model / CONFIG_FILE).read_text(encoding="utf-8"))
    content: dict[str, Any] = MessageToDict(config, preserving_proto_field_name=True)
    return content
