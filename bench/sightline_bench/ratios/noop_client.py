"""The client by itself: against perf_analyzer, and its memory over many images. A model that does nothing answers."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sightline_bench.contestants.program import Program, Recipe, baseline
from sightline_bench.load.driver import Driver, Target, choose_driver, serve
from sightline_bench.load.loads import Load
from sightline_bench.measure.rounds import Contestant, Pass, as_json, best, paired, take_turns
from sightline_bench.noop import DEFAULT_NAME, write_noop_detector
from sightline_bench.ratios.registry import Findings, Group, Key, Setting
from sightline_bench.transports import payload_of

SPEED = Key(name="client_over_perf_analyzer", title="our client ÷ perf_analyzer, a no-op model", target=0.90)
MEMORY = Key(
    name="client_memory_growth",
    title="client's peak memory, 100,000 images ÷ 100 images",
    target=1.01,
    better="lower",
)
_PAYLOAD_BYTES = 100_000
_IN_FLIGHT = (4, 8, 16)
_CLIENT = "client"
_PEAK = "peak_memory_bytes"
_FEW, _MANY, _MANY_QUICK = 100, 100_000, 5_000


class Sender:
    """A load as a contestant; its processor time is not counted."""

    def __init__(self, driver: Driver, target: Target, load: Load) -> None:
        self.name = load.title
        self._driver, self._target, self._load = driver, target, load

    def one_pass(self) -> Pass:
        """Send it once."""
        came = self._driver.measure(self._target, self._load)
        return Pass(images=self._load.requests * self._load.batch, seconds=came.seconds, cpu_seconds=0.0)


class FreshProgram:
    """A program that is started anew for each of its passes, so that its peak memory is that of the pass."""

    def __init__(self, recipe: Recipe) -> None:
        self.name = recipe.name
        self._recipe = recipe

    def one_pass(self) -> Pass:
        """Start it, have it go over its images, end it."""
        with Program(self._recipe) as program:
            program.wait_until_ready()
            return program.one_pass()


def measure_speed(setting: Setting, wanted: frozenset[str]) -> Findings:
    """One image a request on both sides; perf_analyzer at the number in flight that suits it best."""
    driver = choose_driver(setting.perf_analyzer, setting.workshop)
    if driver.program is None:
        return Findings(figures={SPEED.name: SPEED.lacking(driver.note)})
    count = setting.count(quick=1000, full=4000)
    with serve(write_noop_detector(setting.workshop.scratch("noop")).parent) as server:
        target = Target.at(server, DEFAULT_NAME, [payload_of(_PAYLOAD_BYTES).data])
        senders = [Sender(driver, target, Load(requests=count, concurrency=number)) for number in _IN_FLIGHT]
        with Program(_client(server.grpc_url, count, name=_CLIENT)) as client:
            client.wait_until_ready()
            client.warm_up()
            passes = _turns(setting, SPEED, [client, *senders])
    fastest = best(passes, [sender.name for sender in senders])
    about = (
        f"streaming with default settings but one image a request / {driver.program.version()}, {fastest}, the best "
        f"of {', '.join(map(str, _IN_FLIGHT))}; {count} payloads of {_PAYLOAD_BYTES // 1000} kB"
    )
    figure = SPEED.measured(paired(passes[_CLIENT], passes[fastest]), about)
    return Findings(figures={SPEED.name: figure}, sections={SPEED.name: as_json(passes)})


def measure_memory(setting: Setting, wanted: frozenset[str]) -> Findings:
    """The client's process alone, from its start on, for few images and for many."""
    many = setting.count(quick=_MANY_QUICK, full=_MANY)
    with serve(write_noop_detector(setting.workshop.scratch("noop")).parent) as server:
        sizes = [FreshProgram(_client(server.grpc_url, count, name=f"{count} images")) for count in (_FEW, many)]
        passes = _turns(setting, MEMORY, sizes)
    few_name, many_name = (size.name for size in sizes)
    ratio = paired(passes[many_name], passes[few_name], lambda one: one.details[_PEAK])
    note = f"a quick run: {many:,} images, not {_MANY:,}" if many < _MANY else ""
    about = f"{many:,} / {_FEW} images of {_PAYLOAD_BYTES // 1000} kB, one a request, default settings else"
    figure = MEMORY.measured(ratio, about, note)
    return Findings(figures={MEMORY.name: figure}, sections={MEMORY.name: as_json(passes)})


def _client(url: str, count: int, *, name: str) -> Recipe:
    script = "stream_client.py"
    words: Mapping[str, Any] = {
        "--url": url,
        "--model": DEFAULT_NAME,
        "--payload-bytes": _PAYLOAD_BYTES,
        "--count": count,
    }
    options = [str(word) for pair in words.items() for word in pair]
    return Recipe(
        name=name,
        title="Sightline's client, streaming",
        script=script,
        command=(sys.executable, str(baseline(script)), *options),
        images=count,
    )


def _turns(setting: Setting, key: Key, contestants: Sequence[Contestant]) -> dict[str, list[Pass]]:
    def watch(name: str, number: int, came: Pass) -> None:
        setting.tell(f"{key.name}, round {number + 1}: {name:<24} {came.images_per_second:8.1f} images/s")

    return take_turns(contestants, rounds=setting.rounds, watch=watch)


SPEED_GROUP = Group(name="client and perf_analyzer", keys=(SPEED,), measure=measure_speed)
MEMORY_GROUP = Group(name="memory of the client", keys=(MEMORY,), measure=measure_memory)
