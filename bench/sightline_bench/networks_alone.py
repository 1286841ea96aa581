"""Runs detectors' networks on a server with pictures that are ready, so that nothing is decoded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc

from sightline.contract import DEFAULT_SCORE_THRESHOLD, ENCODED, SCORE_THRESHOLD, TensorSpec, network_name
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing

_IN_FLIGHT = 4
Inputs = dict[str, Any]
"""One batch, by tensor name."""


class NetworksAlone:
    """Holds all pictures in memory: 1.2 MB each at 640 x 640.

    Args:
        url: `HOST:PORT` of Triton's gRPC service.
        members: the detectors.
        images: image files, which the server's own preprocessing brings to size, once, here.
        batch_size: pictures in one request.
    """

    def __init__(
        self, url: str, members: Mapping[str, DetectorInfo], images: Sequence[Path], *, batch_size: int
    ) -> None:
        self._client = tritonclient.grpc.InferenceServerClient(url)
        self._members = members
        self._ways = {info.preprocessing for info in members.values()}
        self._batches = {way: list(self._prepare(way, images, batch_size)) for way in self._ways}

    def run(self) -> None:
        """Every picture through every network, as many requests on their way as a client of a group sends."""
        batches = [self._batches[info.preprocessing] for info in self._members.values()]
        networks = list(map(network_name, self._members))
        # As a group has them: one batch for all networks, then the next.
        requests = [each for batch in zip(*batches, strict=True) for each in zip(networks, batch, strict=True)]
        with ThreadPoolExecutor(_IN_FLIGHT * len(self._members)) as threads:
            list(threads.map(lambda request: self._infer(*request), requests))

    def decoded(self) -> int:
        """How many images all of the members' preprocessing models have decoded since the server began."""
        found = (self._client.get_inference_statistics(way.model_name) for way in self._ways)
        return sum(int(each.model_stats[0].inference_count) for each in found)

    def _prepare(self, way: Preprocessing, images: Sequence[Path], batch_size: int) -> Iterator[Inputs]:
        files = iter(images)
        while batch := list(islice(files, batch_size)):
            pictures = [self._decode(way, file.read_bytes()) for file in batch]
            thresholds = np.full((len(batch), 1), DEFAULT_SCORE_THRESHOLD, SCORE_THRESHOLD.dtype)
            yield {
                **{spec.name: np.concatenate([picture[spec.name] for picture in pictures]) for spec in way.outputs},
                SCORE_THRESHOLD.name: thresholds,
            }

    def _decode(self, way: Preprocessing, data: bytes) -> Inputs:
        answer = self._ask(way.model_name, {ENCODED.name: np.frombuffer(data, np.uint8)[None]}, (ENCODED,))
        return {spec.name: answer.as_numpy(spec.name) for spec in way.outputs}

    def _infer(self, network: str, inputs: Inputs) -> None:
        way = next(info.preprocessing for member, info in self._members.items() if network_name(member) == network)
        self._ask(network, inputs, way.network_inputs)

    def _ask(self, model: str, inputs: Inputs, specs: Sequence[TensorSpec]) -> Any:
        tensors = []
        for spec in specs:
            tensor = tritonclient.grpc.InferInput(spec.name, list(inputs[spec.name].shape), spec.datatype)
            tensor.set_data_from_numpy(inputs[spec.name])
            tensors.append(tensor)
        return self._client.infer(model, tensors)
