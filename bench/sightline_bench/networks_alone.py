"""Runs a group's networks on a server with pictures that are ready, so that nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tritonclient.grpc
import tritonclient.utils
from tritonclient.grpc.model_config_pb2 import ModelConfig

from sightline.contract import DEFAULT_SCORE_THRESHOLD, ENCODED, PREPROCESSING_PREFIXES, SCORE_THRESHOLD
from sightline.preprocessing import Preprocessing
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.repository import ensemble_files, write_files

_NAME = "networks_alone"
_IN_FLIGHT = 4
Tensors = dict[str, npt.NDArray[Any]]
"""By name, with the images of a batch as first axis."""


def write_networks_alone(repository: Path, group: str) -> str:
    """Write a group without its preprocessing beside it, and return its name: it takes the pictures instead of files.

    Every picture travels once for all networks, as it lies once behind a group's decode.
    """
    config = parse((repository / group / CONFIG_FILE).read_text(encoding="utf-8"))
    alone = ModelConfig()
    alone.CopyFrom(config)
    alone.name = _NAME
    alone.parameters.clear()
    for field in (alone.input, alone.ensemble_scheduling.step):
        del field[:]
    alone.input.extend(tensor for tensor in config.input if tensor.name != ENCODED.name)
    for step in config.ensemble_scheduling.step:
        if not step.model_name.startswith(PREPROCESSING_PREFIXES):
            alone.ensemble_scheduling.step.append(step)
            continue
        for spec in Preprocessing.parse(step.model_name).outputs:
            alone.input.add(name=step.output_map[spec.name], data_type=f"TYPE_{spec.datatype}", dims=spec.dims)
    write_files(repository / _NAME, ensemble_files(alone))
    return _NAME


class NetworksAlone:
    """Holds all pictures in memory: 1.2 MB each at 640 x 640.

    Args:
        url: `HOST:PORT` of Triton's gRPC service, which serves what `write_networks_alone` wrote.
        group: configuration of the group.
        images: image files, which the server's own preprocessing brings to size, once, here.
        batch_size: pictures in one request.
    """

    def __init__(self, url: str, group: ModelConfig, images: Sequence[Path], *, batch_size: int) -> None:
        self._client = tritonclient.grpc.InferenceServerClient(url)
        self._decoders: Mapping[str, Mapping[str, str]] = {
            step.model_name: dict(step.output_map)
            for step in group.ensemble_scheduling.step
            if step.model_name.startswith(PREPROCESSING_PREFIXES)
        }
        size = min(batch_size, group.max_batch_size)
        self._batches = [self._prepare(batch) for batch in _batches(images, size)]

    def run(self) -> None:
        """Every picture through every network, as many requests on their way as a client of a group sends."""
        with ThreadPoolExecutor(_IN_FLIGHT) as threads:
            list(threads.map(lambda inputs: self._client.infer(_NAME, inputs), self._batches))

    def decoded(self) -> int:
        """How many images all of the group's preprocessing models have decoded since the server began."""
        found = (self._client.get_inference_statistics(name) for name in self._decoders)
        return sum(int(each.model_stats[0].inference_count) for each in found)

    def _prepare(self, images: Sequence[Path]) -> list[Any]:
        """A request for some pictures."""
        pictures = [self._decode(file.read_bytes()) for file in images]
        tensors = {name: np.concatenate([picture[name] for picture in pictures]) for name in pictures[0]}
        threshold = np.full((len(images), 1), DEFAULT_SCORE_THRESHOLD, SCORE_THRESHOLD.dtype)
        return [_input(name, values) for name, values in {**tensors, SCORE_THRESHOLD.name: threshold}.items()]

    def _decode(self, data: bytes) -> Tensors:
        tensors = {}
        for decoder, between in self._decoders.items():
            answer = self._client.infer(decoder, [_input(ENCODED.name, np.frombuffer(data, np.uint8)[None])])
            tensors.update({name: answer.as_numpy(own) for own, name in between.items()})
        return tensors


def _batches(images: Sequence[Path], size: int) -> Iterator[list[Path]]:
    files = iter(images)
    while batch := list(islice(files, size)):
        yield batch


def _input(name: str, values: npt.NDArray[Any]) -> Any:
    tensor = tritonclient.grpc.InferInput(name, list(values.shape), tritonclient.utils.np_to_triton_dtype(values.dtype))
    tensor.set_data_from_numpy(values)
    return tensor
