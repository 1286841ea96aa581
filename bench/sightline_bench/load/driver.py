"""Chooses the program that sends loads, and reads the server's statistics around each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.errors import MeasurementError, SightlineError
from sightline_bench.load import generator
from sightline_bench.load.loads import Load, Measured
from sightline_bench.load.perf_analyzer import PerfAnalyzer, find
from sightline_bench.load.server_statistics import read_counts, steps_between
from sightline_bench.material.workshop import Workshop
from sightline_server.launcher import EmbeddedServer, ServerOptions


def serve(repository: Path) -> EmbeddedServer:
    """A server of all models of a repository, on the CPU, whose clients may use system shared memory.

    Raises:
        MeasurementError: it did not start.
    """
    options = ServerOptions(
        repository=repository, grpc_port=0, http_port=0, metrics_port=0, allow_shared_memory=True, use_gpus=False
    )
    try:
        return EmbeddedServer(options)
    except SightlineError as error:
        raise MeasurementError(f"the server of {repository} did not start: {error}") from error


@dataclass(frozen=True, kw_only=True)
class Target:
    """Who is sent loads, and what is in them.

    Attributes:
        grpc_url: `HOST:PORT`.
        http_url: `HOST:PORT`.
        model: a detector.
        payloads: image files.
    """

    grpc_url: str
    http_url: str
    model: str
    payloads: Sequence[bytes]

    @classmethod
    def at(cls, server: EmbeddedServer, model: str, payloads: Sequence[bytes]) -> Target:
        """A model of an embedded server."""
        return cls(grpc_url=server.grpc_url, http_url=server.http_url, model=model, payloads=payloads)


@dataclass(frozen=True)
class Driver:
    """Sends loads.

    Attributes:
        program: perf_analyzer; None where the built-in generator takes its place.
        note: why it does; empty else.
    """

    program: PerfAnalyzer | None
    note: str = ""

    def measure(self, target: Target, load: Load) -> Measured:
        """Send a load, with the server's statistics over it.

        Raises:
            MeasurementError: it could not be sent.
        """
        before = read_counts(target.grpc_url)
        measured = self._send(target, load)
        return replace(measured, steps=steps_between(before, read_counts(target.grpc_url)))

    def _send(self, target: Target, load: Load) -> Measured:
        url = target.grpc_url if load.protocol == "grpc" else target.http_url
        if self.program is None:
            return generator.measure(load, url=url, model=target.model, payloads=target.payloads)
        return self.program.measure(load, url=url, model=target.model, payloads=target.payloads)


def choose_driver(given: Path | None, workshop: Workshop) -> Driver:
    """perf_analyzer where it runs; else the built-in generator, and why.

    Raises:
        MeasurementError: a program was given and does not run.
    """
    try:
        return Driver(find(given, workshop))
    except MeasurementError as error:
        if given is not None:
            raise
        note = f"no perf_analyzer, so that the built-in asyncio generator sends the load: {error}"
        workshop.tell(note)
        return Driver(None, note)
