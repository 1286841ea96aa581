"""The served chain: an embedded Triton with instances and batches as wanted, and clients in processes of their own."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from sightline.contract import network_name
from sightline.errors import MeasurementError
from sightline_bench.contestants.program import Program, Recipe, baseline
from sightline_bench.gpu.material import Model, Photos
from sightline_bench.gpu.plan import Arrangement, Chain
from sightline_bench.gpu.survey import Place
from sightline_bench.measure.rounds import Pass
from sightline_bench.measure.usage import tree_seconds
from sightline_bench.profile.detector import find_detector
from sightline_export.config import CONFIG_FILE, parse, render
from sightline_server.launcher import EmbeddedServer, ServerOptions

_LISTED = 50_000
"""Photos in a client's list: more than it goes over in a pass."""
_TRIAL_SHARE = 0.1
_READY_SECONDS = 900.0
"""Every batch size is tried before a network is ready, and there are up to 64."""


def arrange(model: Model, arrangement: Arrangement, target: Path) -> None:
    """Write a repository with the detector's three models, whose files are links but for their configurations."""
    first = find_detector(model.repository, model.name).info.preprocessing.model_name
    instances = {first: arrangement.decoders, network_name(model.name): arrangement.networks, model.name: 0}
    for name, count in instances.items():
        source = model.repository / name
        config = parse((source / CONFIG_FILE).read_text(encoding="utf-8"))
        config.max_batch_size = arrangement.max_batch
        if count:
            config.instance_group[0].count = count
        kept = [warm_up for warm_up in config.model_warmup if warm_up.batch_size <= arrangement.max_batch]
        del config.model_warmup[:]
        config.model_warmup.extend(kept)
        (target / name).mkdir(parents=True)
        (target / name / CONFIG_FILE).write_text(render(config), encoding="utf-8")
        for entry in source.iterdir():
            if entry.name != CONFIG_FILE:
                (target / name / entry.name).symlink_to(entry.resolve())


def start_server(repository: Path, place: Place) -> EmbeddedServer:
    """A server of a detector, whose every step runs where it is meant to.

    Raises:
        MeasurementError: a step runs elsewhere.
        SightlineError: it did not start.
    """
    options = ServerOptions(
        repository=repository,
        grpc_port=0,
        http_port=0,
        metrics_port=0,
        use_gpus=place == "gpu",
        ready_timeout_seconds=_READY_SECONDS,
    )
    server = EmbeddedServer(options)
    elsewhere = {name: info for name, info in server.engines().items() if info.device != place}
    if elsewhere:
        server.close()
        told = "; ".join(f"{name} on the {info.device}: {info.reason}" for name, info in elsewhere.items())
        raise MeasurementError(f"the served chain is not on the {place}: {told or 'Triton uses no GPU'}")
    return server


class Served:
    """A contestant of `rounds`: clients that go over photos at the same time. Use it as a context manager.

    Args:
        chain: what is served, and how it is asked.
        server: that serves it.
        photos: what is sent.
        folder: for lists of photos.
        seconds: how long a pass is to take, about.
    """

    def __init__(self, chain: Chain, server: EmbeddedServer, photos: Photos, folder: Path, *, seconds: float) -> None:
        self.name = chain.name
        self._chain, self._server, self._photos = chain, server, photos
        self._folder, self._seconds = folder, seconds
        self._stack = ExitStack()
        self._programs: list[Program] = []

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self._programs = []
        self._stack.close()

    def warm_up(self) -> None:
        """Start the clients, and find out how many photos make a pass."""
        self._start()
        images = 2 * self._chain.batch
        self._go_over(images)
        while (trial := self.one_pass()).seconds < _TRIAL_SHARE * self._seconds:
            images *= 2
            self._go_over(images)
        self._go_over(round(trial.images_per_second * self._seconds / self._chain.clients))

    def _go_over(self, images: int) -> None:
        """So many in each client's passes from now on, in whole requests."""
        batch = self._chain.batch
        images = min(_LISTED // batch, max(1, images // batch)) * batch
        for program in self._programs:
            program.recipe = replace(program.recipe, images=images)

    def one_pass(self) -> Pass:
        """All clients, each over its photos; from the first that begins to the last that ends."""
        before, begun = self._spent(), time.perf_counter()
        with ThreadPoolExecutor(len(self._programs)) as pool:
            passes = list(pool.map(Program.one_pass, self._programs))
        seconds = time.perf_counter() - begun
        return Pass(
            images=sum(each.images for each in passes),
            seconds=seconds,
            cpu_seconds=self._spent() - before,
            found=sum(each.found or 0 for each in passes),
        )

    def _spent(self) -> float:
        return tree_seconds(self._server.pid) + sum(tree_seconds(program.pid) for program in self._programs)

    def _start(self) -> None:
        chain = self._chain
        for number in range(chain.clients):
            listing = self._folder / f"{number}.txt"
            listing.write_text("".join(f"{file}\n" for file in self._turned(number, _LISTED)), encoding="utf-8")
            options = ["--images", listing, "--url", self._server.grpc_url, "--model", chain.model]
            options += ["--batch", chain.batch]
            recipe = Recipe(
                name=f"{self.name}, client {number + 1}",
                title="a client",
                script="stream_photos.py",
                command=(sys.executable, *map(str, (baseline("stream_photos.py"), *options))),
                images=chain.batch,
            )
            self._programs.append(self._stack.enter_context(Program(recipe)))
        for program in self._programs:
            program.wait_until_ready()

    def _turned(self, number: int, count: int) -> Iterable[Path]:
        """Photos for one client: each begins elsewhere, so that they do not all decode the same one."""
        files: Sequence[Path] = self._photos.files
        start = number * len(files) // self._chain.clients
        return islice(cycle([*files[start:], *files[:start]]), count)
