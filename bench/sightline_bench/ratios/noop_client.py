"""The client by itself: against perf_analyzer, and its memory over many images. A model that does nothing answers."""

from __future__ import annotations

import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from sightline._options import DEFAULT_BATCH_SIZE, DEFAULT_IN_FLIGHT
from sightline_bench.contestants.program import Program, Recipe, baseline
from sightline_bench.load.driver import Driver, Target, choose_driver, serve
from sightline_bench.load.loads import Load
from sightline_bench.measure.rounds import LEAST_ROUNDS, Contestant, Pass, Ratio, as_json, best, paired, take_turns
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
_IN_FLIGHT = (4, 16)
_CLIENT, _BATCHES = "client", "client, batches"
_PEAK = "peak_memory_bytes"
_FEW, _MANY, _MANY_QUICK, _MANY_BATCHED = 100, 100_000, 3_000, 20_000


class Sender:
    """A load as a contestant, with the processor time of the program that sends it; the server's is not counted."""

    def __init__(self, driver: Driver, target: Target, load: Load) -> None:
        self.name = load.title
        self._driver, self._target, self._load = driver, target, load

    def one_pass(self) -> Pass:
        """Send it once; as many images as the server has answered, warm-up included."""
        before = _seconds_of_children()
        came = self._driver.measure(self._target, self._load)
        images = came.steps[self._target.model].images
        seconds = images / came.images_per_second
        return Pass(images=images, seconds=seconds, cpu_seconds=_seconds_of_children() - before)


def _seconds_of_children() -> float:
    """Processor time of all children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


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
    """The same payload again and again, one to a request, on both sides; each with what suits it.

    The client has its default settings else, perf_analyzer the number in flight at which it is fastest. That is more
    than comparing both with the same number: a user of the client does not set it, one of perf_analyzer has to. What
    many images in a request leave of the difference stands beside it, with perf_analyzer at the client's number. A
    quick run leaves that out, and tries one number.
    """
    driver = choose_driver(setting.perf_analyzer, setting.workshop)
    if driver.program is None:
        return Findings(figures={SPEED.name: SPEED.lacking(driver.note)})
    count = setting.count(quick=3000, full=6000)
    with serve(write_noop_detector(setting.workshop.scratch("noop")).parent) as server:
        target = Target.at(server, DEFAULT_NAME, [payload_of(_PAYLOAD_BYTES).data])
        numbers = _IN_FLIGHT[-1:] if setting.quick else _IN_FLIGHT
        senders = [Sender(driver, target, Load(requests=count, concurrency=number)) for number in numbers]
        batched = Load(requests=count, concurrency=DEFAULT_IN_FLIGHT, batch=DEFAULT_BATCH_SIZE)
        with ExitStack() as stack:
            sizes = {_CLIENT: 1} if setting.quick else {_CLIENT: 1, _BATCHES: DEFAULT_BATCH_SIZE}
            recipes = [_client(server.grpc_url, count, name=name, batch=size) for name, size in sizes.items()]
            client, *batches = [stack.enter_context(Program(recipe)) for recipe in recipes]
            for program in (client, *batches):
                program.wait_until_ready()
                program.warm_up()
            contestants: list[Contestant] = [client, *senders]
            if batches:
                contestants += [*batches, Sender(driver, target, batched)]
            passes = _turns(setting, SPEED, contestants)
    fastest = best(passes, [sender.name for sender in senders])
    words = f", the best of {', '.join(map(str, numbers))}" if len(numbers) > 1 else ""
    about = (
        f"streaming with default settings but one image a request / {driver.program.version()}, {fastest}"
        f"{words}; the same payload of {_PAYLOAD_BYTES // 1000} kB again and again"
    )
    costs = f"{_cost(passes[_CLIENT])} / {_cost(passes[fastest])}"
    note = f"{costs} µs of processor time an image, the server's not counted"
    if batches:
        of_batches = paired(passes[_BATCHES], passes[batched.title])
        note += (
            f"; with {DEFAULT_BATCH_SIZE} images a request and {DEFAULT_IN_FLIGHT} requests in flight on both sides "
            f"{of_batches.median:.2f} ({of_batches.low:.2f} to {of_batches.high:.2f}), "
            f"{_cost(passes[_BATCHES])} / {_cost(passes[batched.title])} µs"
        )
    figure = SPEED.measured(paired(passes[_CLIENT], passes[fastest]), about, note)
    return Findings(figures={SPEED.name: figure}, sections={SPEED.name: as_json(passes)})


def _cost(passes: Sequence[Pass]) -> str:
    """Median processor time an image in microseconds."""
    return f"{statistics.median(1e6 * one.cpu_seconds / one.images for one in passes):.0f}"


def measure_memory(setting: Setting, wanted: frozenset[str]) -> Findings:
    """The client's process alone, from its start on, for few images and for many; rounds are few, as they agree."""
    many = setting.count(quick=_MANY_QUICK, full=_MANY)
    with serve(write_noop_detector(setting.workshop.scratch("noop")).parent) as server:

        def fresh(count: int, batch: int) -> FreshProgram:
            name = f"{count:,} images in requests of {batch}"
            return FreshProgram(_client(server.grpc_url, count, "--fresh", name=name, batch=batch))

        single = [fresh(_FEW, 1), fresh(many, 1)]
        several = [] if setting.quick else [fresh(_FEW, DEFAULT_BATCH_SIZE), fresh(_MANY_BATCHED, DEFAULT_BATCH_SIZE)]
        passes = _turns(replace(setting, rounds=LEAST_ROUNDS), MEMORY, [*single, *several])

    def growth(few: FreshProgram, more: FreshProgram) -> Ratio:
        return paired(passes[more.name], passes[few.name], lambda one: one.details[_PEAK])

    if several:
        of_batches = growth(*several)
        note = (
            f"in requests of {DEFAULT_BATCH_SIZE}, {_MANY_BATCHED:,} / {_FEW} images: {of_batches.median:.3f} "
            f"({of_batches.low:.3f} to {of_batches.high:.3f})"
        )
    else:
        note = f"a quick run: {many:,} images, not {_MANY:,}"
    about = (
        f"{many:,} / {_FEW} images of {_PAYLOAD_BYTES // 1000} kB, each new bytes, one a request, default settings else"
    )
    figure = MEMORY.measured(growth(*single), about, note)
    return Findings(figures={MEMORY.name: figure}, sections={MEMORY.name: as_json(passes)})


def _client(url: str, count: int, *flags: str, name: str, batch: int = 1) -> Recipe:
    script = "stream_client.py"
    words: Mapping[str, Any] = {
        "--url": url,
        "--model": DEFAULT_NAME,
        "--payload-bytes": _PAYLOAD_BYTES,
        "--count": count,
        "--batch": batch,
    }
    options = [*flags, *(str(word) for pair in words.items() for word in pair)]
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
