"""Unary calls against `ModelStreamInfer`, and requests in flight: what the client costs by itself.

    python -m sightline_bench.transports [--images 2000 --payload-bytes 100000 --rounds 3 --batch-sizes 1 8]

A no-op detector answers on an embedded server of its own. Settings take turns in every round, so that a busy machine
disturbs them alike; the table shows medians over the rounds. bench/results/transports.md holds one.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline import Client, ClientOptions, EncodedImage
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline_bench.noop import DEFAULT_NAME, write_noop_detector
from sightline_server.launcher import EmbeddedServer, ServerOptions

_IN_FLIGHT = (1, 2, 4, 8)
_WARM_UP_IMAGES = 64


@dataclass(frozen=True)
class Setting:
    """One way to send."""

    transport: TransportKind
    batch_size: int
    in_flight: int


@dataclass(frozen=True)
class Measurement:
    """What one run took.

    Attributes:
        images_per_second: over the whole run.
        cpu_microseconds: processor time of this process per image, the server's not included.
    """

    images_per_second: float
    cpu_microseconds: float


def payload_of(size_bytes: int) -> EncodedImage:
    """A small BMP followed by noise up to that size; what stands behind a BMP is no part of the picture."""
    image = EncodedImage.from_array(np.zeros((2, 2, 3), np.uint8), source="payload")
    noise = np.random.default_rng(0).bytes(max(size_bytes - len(image.data), 0))
    return EncodedImage(image.source, image.data + noise)


def measure(url: str, setting: Setting, image: EncodedImage, count: int) -> Measurement:
    """Stream `count` times the same image through the no-op detector."""
    options = ClientOptions(transport=setting.transport, in_flight=setting.in_flight)
    with Client(url, model=DEFAULT_NAME, options=options) as client:
        _drain(client, itertools.repeat(image, _WARM_UP_IMAGES), setting.batch_size)
        begun, cpu = time.perf_counter(), _cpu_seconds()
        _drain(client, itertools.repeat(image, count), setting.batch_size)
        seconds, cpu_seconds = time.perf_counter() - begun, _cpu_seconds() - cpu
    return Measurement(count / seconds, 1e6 * cpu_seconds / count)


def _drain(client: Client, images: Iterator[EncodedImage], batch_size: int) -> None:
    for result in client.stream(images, batch_size=batch_size):
        result.unwrap()


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def compare(
    url: str, settings: Sequence[Setting], *, payload_bytes: int, images: int, rounds: int
) -> dict[Setting, list[Measurement]]:
    """Every setting once a round."""
    image = payload_of(payload_bytes)
    measured: dict[Setting, list[Measurement]] = defaultdict(list)
    for _ in range(rounds):
        for setting in settings:
            measured[setting].append(measure(url, setting, image, images))
    return dict(measured)


def table(measured: dict[Setting, list[Measurement]]) -> str:
    """Medians and extremes, one line a setting."""
    lines = ["transport  batch  in flight   images/s (lowest - highest)   client CPU per image"]
    for setting, runs in measured.items():
        rates = [run.images_per_second for run in runs]
        cpu = statistics.median(run.cpu_microseconds for run in runs)
        lines.append(
            f"{setting.transport:<9}  {setting.batch_size:>5}  {setting.in_flight:>9}   "
            f"{statistics.median(rates):>8.0f} ({min(rates):.0f} - {max(rates):.0f}){'':<10}   {cpu:>6.0f} us"
        )
    return "\n".join(lines)


def main() -> None:
    """Serve, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m sightline_bench.transports")
    parser.add_argument("--images", type=int, default=2000, help="per run")
    parser.add_argument("--payload-bytes", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    settings = [
        Setting(transport, batch_size, in_flight)
        for batch_size in arguments.batch_sizes
        for in_flight in _IN_FLIGHT
        for transport in TRANSPORT_KINDS
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_noop_detector(Path(folder))
        options = ServerOptions(repository=Path(folder), grpc_port=0, http_port=0, metrics_port=0)
        with EmbeddedServer(options) as server:
            measured = compare(
                server.grpc_url,
                settings,
                payload_bytes=arguments.payload_bytes,
                images=arguments.images,
                rounds=arguments.rounds,
            )
    print(table(measured))


if __name__ == "__main__":
    main()
