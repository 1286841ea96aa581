"""Serves a setup and measures it: an embedded server on a view of the repository with other configurations."""

from __future__ import annotations

import copy
import os
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import numpy as np

from sightline import Client, ClientOptions
from sightline.contract import EngineInfo
from sightline.detections import Detections
from sightline.errors import CorruptImageError, ImageError
from sightline_bench.measure.rounds import Pass
from sightline_bench.measure.usage import process_seconds, tree_seconds
from sightline_bench.tune.detector import Detector
from sightline_bench.tune.options import TuneOptions
from sightline_bench.tune.setups import Setup
from sightline_export.config import CONFIG_FILE, render
from sightline_export.schedule import Schedule, set_schedule
from sightline_server.launcher import EmbeddedServer, ServerOptions

LATENCY = "latency_ms"
"""Of a pass: milliseconds within which 95 % of the clients' answers came; where one client streams, the median of some
images that were asked for one by one afterwards."""
_PASS_SECONDS = 2.5
_LEAST_STREAMED, _LEAST_ASKED = 64, 40
_ONE_BY_ONE = 5
_TIMEOUT_SECONDS = 600.0
"""A setting may be slow, and the machine may be."""


def write_view(detector: Detector, schedules: Mapping[str, Schedule], folder: Path) -> None:
    """A repository of links to the detector's files, with configurations of other schedules.

    Args:
        detector: whose files.
        schedules: of its parts, by model.
        folder: existing and empty.
    """
    repository = detector.repository.resolve()
    (folder / detector.name).symlink_to(repository / detector.name, target_is_directory=True)
    for model in detector.parts:
        place = folder / model
        place.mkdir()
        for entry in (repository / model).iterdir():
            if entry.name != CONFIG_FILE:
                (place / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
        config = detector.config(model)
        set_schedule(config, schedules[model])
        (place / CONFIG_FILE).write_text(render(config), encoding="utf-8")


class Trial:
    """A setup that is served, and a client or several that ask it.

    It is a contestant of `measure.rounds`. Close it.

    Args:
        name: unique among those that it is compared with.
        setup: what is served.
        detector: whose files.
        options: objective and clients.
        files: images, used in turn; those that the server cannot decode are left out.

    Attributes:
        images: in a pass; `calibrate` sets it.
        files: the images that are used.
        found: what was found in each.

    Raises:
        LaunchError: the setup cannot be served.
        CorruptImageError: the server can decode none of the images.
        SightlineError: an image failed.
    """

    def __init__(
        self, name: str, setup: Setup, detector: Detector, options: TuneOptions, files: Sequence[Path]
    ) -> None:
        self.name, self.setup = name, setup
        self.images = 0
        self.files = list(files)
        self._options = options
        self._stack = ExitStack()
        try:
            self._start(detector)
        except BaseException:
            self.close()
            raise

    def _start(self, detector: Detector) -> None:
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-tune-")))
        write_view(detector, self.setup.schedules, folder)
        served = ServerOptions(repository=folder, models=(detector.name,), grpc_port=0, http_port=0, metrics_port=0)
        self._server = self._stack.enter_context(EmbeddedServer(served))
        clients = 1 if self._streams else self._options.clients
        patient = ClientOptions(timeout_seconds=_TIMEOUT_SECONDS)
        self._clients = [
            self._stack.enter_context(Client(self._server.grpc_url, model=detector.name, options=patient))
            for _ in range(clients)
        ]
        self._pool = self._stack.enter_context(ThreadPoolExecutor(clients))
        self.found = self._look()

    @property
    def engines(self) -> dict[str, EngineInfo]:
        """What runs each of its models."""
        return self._server.engines()

    def asked_otherwise(self, name: str, setup: Setup) -> Trial:
        """The same server, asked by a client of another setup; it is there as long as this trial is."""
        other = copy.copy(self)
        other.name, other.setup, other._stack = name, setup, ExitStack()
        other.found = other._look()
        return other

    def close(self) -> None:
        """End the server."""
        self._stack.close()

    def calibrate(self) -> None:
        """Choose how many images make a pass of some seconds; it is warm afterwards."""
        least = _LEAST_STREAMED if self._streams else _LEAST_ASKED
        self.images = max(32, least // 2)
        self.images = max(least, round(self.one_pass().images_per_second * _PASS_SECONDS))

    def one_pass(self) -> Pass:
        """All clients over the images once."""
        before, begun = self._spent(), time.perf_counter()
        found, latencies = self._stream() if self._streams else self._ask()
        seconds = time.perf_counter() - begun
        spent = self._spent() - before
        if self._streams:
            latencies = [self._one(self._clients[0], file)[1] for file in islice(cycle(self.files), _ONE_BY_ONE)]
            latency = statistics.median(latencies)
        else:
            latency = float(np.percentile(latencies, 95))
        return Pass(
            images=self.images,
            seconds=seconds,
            cpu_seconds=spent,
            found=found,
            details={LATENCY: 1000 * latency},
        )

    @property
    def _streams(self) -> bool:
        return self._options.objective == "throughput"

    def _spent(self) -> float:
        """Processor time of the server with all its processes, and of this one, in which the clients are."""
        return tree_seconds(self._server.pid) + process_seconds(os.getpid())

    def _look(self) -> dict[str, Detections]:
        """What is found in each of the files; those that cannot be decoded are left out from here on."""
        results = self._clients[0].stream(self.files, batch_size=self.setup.batch_size)
        found = {
            file: result.unwrap()
            for file, result in zip(self.files, results, strict=True)
            if not isinstance(result.error, ImageError)
        }
        if not found:
            raise CorruptImageError(
                f"the server can decode none of {len(self.files)} pictures, such as {self.files[0]}"
            )
        self.files = list(found)
        return {str(file): each for file, each in found.items()}

    def _stream(self) -> tuple[int, list[float]]:
        files = islice(cycle(self.files), self.images)
        results = self._clients[0].stream(files, batch_size=self.setup.batch_size)
        return sum(len(result.unwrap()) for result in results), []

    def _ask(self) -> tuple[int, list[float]]:
        """The clients at once, each over its share of the images, one image at a time."""
        supply = list(islice(cycle(self.files), self.images))
        shares = [supply[number :: len(self._clients)] for number in range(len(self._clients))]
        work = [self._pool.submit(self._share, *each) for each in zip(self._clients, shares, strict=True)]
        answers = [answer for each in work for answer in each.result()]
        return sum(found for found, _ in answers), [seconds for _, seconds in answers]

    def _share(self, client: Client, files: Sequence[Path]) -> list[tuple[int, float]]:
        return [self._one(client, file) for file in files]

    @staticmethod
    def _one(client: Client, file: Path) -> tuple[int, float]:
        """Objects found, and seconds that the client waited."""
        begun = time.perf_counter()
        found = len(client.detect(file))
        return found, time.perf_counter() - begun
