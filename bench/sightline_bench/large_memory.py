"""Memory of server and client while many very large pictures are in flight.

    sightline export yolov5n.pt --imgsz 1920 --repository /tmp/large
    python -m sightline_bench.large_memory --repository /tmp/large --model yolov5n --photos photos/

It makes one JPEG of 13400 x 9528 pixels out of real photos, and streams it 16 times with 16 requests in flight (or 16
times from each of several clients), in rounds: idle, load, idle, load. What counts is the proportional set size (PSS)
of the server with all its processes and of the clients, sampled 20 times a second: shared memory is in it, once.
bench/results/large_memory.md holds what it printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from sightline import Client, ClientOptions, Tiling
from sightline.annotate import decode_upright, encode_jpeg
from sightline_bench.measure.usage import Peaks, descendants, process_name, sampled
from sightline_server.launcher import EmbeddedServer, ServerOptions

_WIDTH, _HEIGHT = 13_400, 9_528
_SETTLE_SECONDS = 2.0
_MEGABYTE = 1_000_000


def tiled_photo(photos: Path, *, width: int = _WIDTH, height: int = _HEIGHT, quality: int = 90) -> bytes:
    """A JPEG of that many pixels, filled row by row with the photos of a folder."""
    picture = np.zeros((height, width, 3), np.uint8)
    supply = cycle(sorted(photos.glob("*.jpg")))
    top = 0
    while top < height:
        left, lowest = 0, height
        while left < width:
            photo = decode_upright(next(supply).read_bytes())[: height - top, : width - left]
            picture[top : top + len(photo), left : left + photo.shape[1]] = photo
            left += photo.shape[1]
            lowest = min(lowest, top + len(photo))
        top = lowest
    return encode_jpeg(picture, quality=quality)


@dataclass(frozen=True)
class Load:
    """What every client does.

    Attributes:
        images: pictures in a round.
        in_flight: requests at the same time.
        tile: side of the tiles in pixels; 0 for none.
    """

    images: int
    in_flight: int
    tile: int

    def stream(self, url: str, model: str, picture: Path, calls: Connection) -> None:
        """A client's process: a round at each call, until told to stop."""
        tiling = Tiling(tile=self.tile) if self.tile else None
        options = ClientOptions(in_flight=self.in_flight, tiling=tiling, timeout_seconds=600)
        with Client(url, model=model, options=options) as client:
            calls.send(client.info.class_names[:1])
            while calls.recv():
                found = [len(result.unwrap()) for result in client.stream([picture] * self.images, batch_size=1)]
                calls.send(found)


def _processes() -> list[int]:
    """The server's and the clients'."""
    return descendants(os.getpid())


def measure(url: str, model: str, picture: Path, *, load: Load, given: argparse.Namespace) -> None:
    """Print a line for every round, then the processes' own peaks in the last one."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        calls = []
        for _ in range(given.clients):
            here, there = context.Pipe()
            process = context.Process(target=load.stream, args=(url, model, picture, there))
            process.start()
            stack.callback(process.join)
            stack.callback(here.send, False)
            here.recv()
            calls.append(here)
        for number in range(given.rounds):
            idle, loaded = _round(calls, number=number + 1, images=given.clients * load.images)
        for pid, size in loaded.processes.most_common():
            before, peak = idle.processes[pid] / _MEGABYTE, size / _MEGABYTE
            print(f"  {process_name(pid):<50} idle {before:>6,.0f} MB, peak {peak:>6,.0f} MB")


def _round(calls: Sequence[Connection], *, number: int, images: int) -> tuple[Peaks, Peaks]:
    time.sleep(_SETTLE_SECONDS)
    idle = Peaks()
    idle.add_sample(_processes())
    begun = time.monotonic()
    with sampled(_processes) as loaded:
        for call in calls:
            call.send(True)
        found = sorted({objects for call in calls for objects in call.recv()})
    before, peak = idle.total / _MEGABYTE, loaded.total / _MEGABYTE
    print(
        f"round {number}: idle {before:,.0f} MB, peak {peak:,.0f} MB, above idle {peak - before:,.0f} MB; "
        f"{images / (time.monotonic() - begun):.2f} pictures/s, objects in each: {found}",
        flush=True,
    )
    return idle, loaded


def main() -> None:
    """Make the picture, serve, measure."""
    parser = argparse.ArgumentParser(prog="python -m sightline_bench.large_memory")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEGs")
    parser.add_argument("--images", type=int, default=16, help="per client and round")
    parser.add_argument("--in-flight", type=int, default=16, help="requests of each client")
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quality", type=int, default=90, help="of the JPEG, 1 to 100")
    parser.add_argument("--tile", type=int, default=0, help="side of the tiles in pixels; 0 for none")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / "large.jpg"
        picture.write_bytes(tiled_photo(given.photos, quality=given.quality))
        print(f"{_WIDTH} x {_HEIGHT} pixels, {picture.stat().st_size / _MEGABYTE:.0f} MB")
        options = ServerOptions(
            repository=given.repository, models=(given.model,), grpc_port=0, http_port=0, metrics_port=0
        )
        load = Load(given.images, given.in_flight, given.tile)
        with EmbeddedServer(options) as server:
            measure(server.grpc_url, given.model, picture, load=load, given=given)


if __name__ == "__main__":
    main()
