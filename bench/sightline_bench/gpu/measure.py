"""Has everything of a plan take its turns: the parts by themselves, then served chains beside the best of them."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sightline.errors import SightlineError
from sightline_bench.gpu.chain import Served, arrange, start_server
from sightline_bench.gpu.decoders import decoder_jobs, letterbox_jobs
from sightline_bench.gpu.figures import ChainRace, Row, find_limits
from sightline_bench.gpu.loop import Job, Loop
from sightline_bench.gpu.material import Material
from sightline_bench.gpu.networks import Network, open_network
from sightline_bench.gpu.plan import Alone, Arrangement, Chain, DecoderAlone, EngineAlone, LetterboxAlone, Plan
from sightline_bench.gpu.smi import Watch
from sightline_bench.gpu.survey import Place
from sightline_bench.gpu.timed import FAILURES, Tell, Timed, in_turns, one_line
from sightline_bench.measure.rounds import Pass, Passes
from sightline_server.launcher import EmbeddedServer


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How long things take.

    Attributes:
        rounds: of each race.
        seconds: of a pass of engine, decoder or letterbox.
        served_seconds: of a pass of a chain.
    """

    rounds: int
    seconds: float
    served_seconds: float


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What measures.

    Attributes:
        material: what is worked on.
        place: where.
        pace: how long.
        watch: what the GPU does.
        folder: for what need not be kept.
        tell: is told what goes on.
    """

    material: Material
    place: Place
    pace: Pace
    watch: Watch
    folder: Path
    tell: Tell


@dataclass
class Measured:
    """All that came out.

    Attributes:
        rows: of engine, decoder and letterbox.
        passes: of them, by name.
        races: of the chains.
    """

    rows: list[Row] = field(default_factory=list)
    passes: dict[str, Sequence[Pass]] = field(default_factory=dict)
    races: list[ChainRace] = field(default_factory=list)


def measure(bench: Bench, plan: Plan) -> Measured:
    """All of a plan; what fails stands in the rows with its reason."""
    measured = Measured()
    for title, variants in _subjects(plan.alone).items():
        rows, passes = _race_alone(bench, title, variants)
        measured.rows += rows
        measured.passes.update(passes)
    for model in dict.fromkeys(chain.model for chain in plan.chains):
        chains = [chain for chain in plan.chains if chain.model == model]
        measured.races += _race_chains(bench, chains, plan.alone, measured.passes)
    return measured


def _subjects(variants: Sequence[Alone]) -> dict[str, list[Alone]]:
    """Those that take turns with each other: of one network, or of photos of one size."""
    found: dict[str, list[Alone]] = {}
    for each in variants:
        title = f"{each.model} alone" if isinstance(each, EngineAlone) else f"decoding {each.photos}"
        found.setdefault(title, []).append(each)
    return found


def _race_alone(bench: Bench, title: str, variants: Sequence[Alone]) -> tuple[list[Row], dict[str, list[Pass]]]:
    with _Opened(bench) as opened:
        opened.open_parts(variants)
        passes, failure = in_turns(title, list(opened.ready.values()), rounds=bench.pace.rounds, tell=bench.tell)
        return [opened.row(variant, passes, failure) for variant in variants], passes


def _race_chains(bench: Bench, chains: Sequence[Chain], alone: Sequence[Alone], passes: Passes) -> list[ChainRace]:
    """Of one detector: a race for each size of photos. Its servers stay up for all of them."""
    servers: dict[Arrangement, EmbeddedServer] = {}
    failures: dict[Arrangement, str] = {}
    with ExitStack() as stack:
        for arrangement in dict.fromkeys(chain.arrangement for chain in chains):
            try:
                servers[arrangement] = stack.enter_context(_serve(bench, chains[0].model, arrangement))
            except SightlineError as error:
                failures[arrangement] = one_line(error)
                bench.tell(f"{chains[0].model}, arranged {arrangement.name}: {failures[arrangement]}")
        return [
            _race(bench, [chain for chain in chains if chain.photos == photos], alone, passes, servers, failures)
            for photos in dict.fromkeys(chain.photos for chain in chains)
        ]


def _serve(bench: Bench, name: str, arrangement: Arrangement) -> EmbeddedServer:
    folder = bench.folder / f"{name}-{arrangement.name}"
    arrange(bench.material.models[name], arrangement, folder)
    bench.tell(f"starting a server of {name}, arranged {arrangement.name}")
    return start_server(folder, bench.place)


def _race(  # noqa: PLR0913, PLR0917 - what one race is of
    bench: Bench,
    chains: Sequence[Chain],
    alone: Sequence[Alone],
    passes: Passes,
    servers: Mapping[Arrangement, EmbeddedServer],
    failures: Mapping[Arrangement, str],
) -> ChainRace:
    model, photos = chains[0].model, chains[0].photos
    limits = find_limits(alone, passes, model, photos)
    with _Opened(bench) as opened:
        opened.open_parts([each for each in alone if each.name in limits.names])
        for chain in chains:
            if chain.arrangement in servers:
                opened.open_chain(chain, servers[chain.arrangement])
            else:
                opened.failures[chain.name] = failures[chain.arrangement]
        came, failure = in_turns(
            f"{model}, {photos}", list(opened.ready.values()), rounds=bench.pace.rounds, tell=bench.tell
        )
        rows = tuple(opened.row(chain, came, failure) for chain in chains)
    return ChainRace(model=model, photos=photos, limits=limits, passes=came, rows=rows)


class _Opened:
    """Contestants of one race, warm, until its end. A context manager.

    Attributes:
        ready: by name.
        failures: why the others are not, by name.
    """

    def __init__(self, bench: Bench) -> None:
        self.ready: dict[str, Timed] = {}
        self.failures: dict[str, str] = {}
        self._bench = bench
        self._stack = ExitStack()
        self._networks: dict[str, Network] = {}

    def __enter__(self) -> _Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self.ready.clear()
        self._networks.clear()
        gc.collect()  # engines and pipelines hold memory of the GPU

    def open_parts(self, variants: Sequence[Alone]) -> None:
        """Engines, decoders, letterboxes."""
        most = max((each.batch for each in variants if isinstance(each, EngineAlone)), default=1)
        # Largest first: what an engine has allocated for one batch then holds the next.
        for variant in sorted(variants, key=lambda each: -each.batch):
            try:
                jobs = self._jobs(variant, most)
                loop = Loop(variant.name, jobs, batch=variant.batch, seconds=self._bench.pace.seconds)
                self.ready[variant.name] = Timed(loop, self._bench.watch)
            except FAILURES as error:
                self._fail(variant.name, error)

    def open_chain(self, chain: Chain, server: EmbeddedServer) -> None:
        """Clients of a server."""
        bench = self._bench
        folder = bench.folder / chain.name.replace(" ", "-")
        folder.mkdir()
        seconds = bench.pace.served_seconds
        served = Served(chain, server, bench.material.photos[chain.photos], folder, seconds=seconds)
        self._stack.enter_context(served)
        try:
            self.ready[chain.name] = Timed(served, bench.watch)
        except FAILURES as error:
            self._fail(chain.name, error)

    def row(self, variant: Alone | Chain, passes: Passes, failure: str) -> Row:
        """What came out of a race, or why nothing did."""
        if came := passes.get(variant.name):
            return self.ready[variant.name].row(variant, came)
        return Row(variant=variant, rates=None, failure=self.failures.get(variant.name) or failure)

    def _fail(self, name: str, error: Exception) -> None:
        self.failures[name] = one_line(error)
        self._bench.tell(f"{name}: {self.failures[name]}")

    def _jobs(self, variant: Alone, most: int) -> list[Job]:
        bench = self._bench
        models = bench.material.models
        if isinstance(variant, EngineAlone):
            if variant.model not in self._networks:
                network = self._stack.enter_context(open_network(models[variant.model], bench.place))
                self._networks[variant.model] = network
            return self._networks[variant.model].jobs(variant, most=most)
        photos = bench.material.photos[variant.photos]
        if isinstance(variant, LetterboxAlone):
            return letterbox_jobs(variant, photos, next(iter(models.values())), bench.place)
        assert isinstance(variant, DecoderAlone)
        return decoder_jobs(variant, photos, bench.place)
