"""Many clients of one model at the same time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sightline import Client
from sightline.errors import InvalidOptionError
from sightline_bench.measure.rounds import Pass
from sightline_bench.measure.usage import tree_seconds

FAIRNESS = "slowest_over_fastest"


class Crowd:
    """So many clients, each of which asks for one image at a time and goes over the same number of them.

    Use it as a context manager: the clients stay connected between the passes.

    Args:
        url: `HOST:PORT` of the server's gRPC service.
        model: a detector.
        images: files; the clients begin at different ones.
        clients: how many.
        images_each: how many each goes over in a pass, at least 2.

    Raises:
        InvalidOptionError: it is fewer: a single answer says nothing about a client's throughput.
    """

    def __init__(self, url: str, model: str, images: Sequence[Path], *, clients: int, images_each: int) -> None:
        if images_each < 2:
            raise InvalidOptionError(f"images_each is {images_each}; it must be at least 2")
        self.name = f"{clients} client{'s' if clients > 1 else ''}"
        self._images = images
        self._images_each = images_each
        self._stack = ExitStack()
        self._pool = self._stack.enter_context(ThreadPoolExecutor(clients))
        self._clients = [self._stack.enter_context(Client(url, model=model)) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def one_pass(self) -> Pass:
        """All of them at once; details have the slowest client's throughput by that of the fastest.

        A client's throughput is counted from its first answer on: where all ask at the same moment, somebody has to be
        first, and a queue that is served in order keeps the clients that far apart until the end.
        """
        before = tree_seconds(os.getpid())
        gate = threading.Barrier(len(self._clients) + 1)
        work = [self._pool.submit(self._ask, gate, number) for number in range(len(self._clients))]
        gate.wait()
        begun = time.perf_counter()
        results = [each.result() for each in work]
        spans = [last - first for first, last, _ in results]
        return Pass(
            images=len(self._clients) * self._images_each,
            seconds=max(last for _, last, _ in results) - begun,
            cpu_seconds=tree_seconds(os.getpid()) - before,
            found=sum(found for _, _, found in results),
            details={FAIRNESS: min(spans) / max(spans)},
        )

    def _ask(self, gate: threading.Barrier, number: int) -> tuple[float, float, int]:
        """One client's share: when it had its first answer and its last, and how many objects it found."""
        gate.wait()
        found, first = 0, 0.0
        for step in range(self._images_each):
            image = self._images[(number * self._images_each + step) % len(self._images)]
            found += len(self._clients[number].detect(image))
            first = first or time.perf_counter()
        return first, time.perf_counter(), found


class Stream:
    """One client with its default settings that streams the images.

    Args:
        name: unique in its race.
        client: connected.
        images: files.
    """

    def __init__(self, name: str, client: Client, images: Sequence[Path]) -> None:
        self.name = name
        self._client = client
        self._images = images

    def one_pass(self) -> Pass:
        """All images once."""
        before, begun = tree_seconds(os.getpid()), time.perf_counter()
        found = sum(len(result.unwrap()) for result in self._client.stream(self._images))
        seconds = time.perf_counter() - begun
        spent = tree_seconds(os.getpid()) - before
        return Pass(images=len(self._images), seconds=seconds, cpu_seconds=spent, found=found)
