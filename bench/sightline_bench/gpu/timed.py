"""Contestants whose passes are known as spans of time, so that what the GPU did in them can be told apart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from sightline.errors import SightlineError
from sightline_bench.gpu.figures import Row, rates
from sightline_bench.gpu.plan import Alone, Chain
from sightline_bench.gpu.smi import Watch, summarise
from sightline_bench.measure.rounds import Contestant, Pass, take_turns
from sightline_server.engines import EngineError
from sightline_server.gpu import CudaError
from sightline_server.pipeline import PIPELINE_ERRORS

FAILURES = (SightlineError, EngineError, CudaError, *PIPELINE_ERRORS)
"""What engines, decoders and servers raise. One that fails is told of, and the others go on."""
Tell = Callable[[str], None]
_LEAD_SECONDS = 0.5
"""From the beginning of a pass until what the GPU tells is of that pass: its sample periods may be longer still."""


class Warmable(Contestant, Protocol):
    """A contestant that wants to be warmed up."""

    def warm_up(self) -> None:
        """Before its first pass."""
        ...


class Timed:
    """A contestant that is warm, and what the GPU does in its passes.

    Args:
        inner: it is warmed up here.
        watch: looks at the GPU.
    """

    def __init__(self, inner: Warmable, watch: Watch) -> None:
        self._inner, self._watch = inner, watch
        self._spans: list[tuple[float, float]] = []
        before = watch.used_bytes()
        inner.warm_up()
        after = watch.used_bytes()
        self._memory_bytes = after - before if before is not None and after is not None else None

    @property
    def name(self) -> str:
        """That of the contestant."""
        return self._inner.name

    def one_pass(self) -> Pass:
        """That of the contestant."""
        begin = time.monotonic()
        came = self._inner.one_pass()
        self._spans.append((begin, time.monotonic()))
        return came

    def row(self, variant: Alone | Chain, passes: Sequence[Pass]) -> Row:
        """What came out."""
        samples = [
            sample
            for begin, end in self._spans
            for sample in self._watch.between(min(begin + _LEAD_SECONDS, (begin + end) / 2), end)
        ]
        counts = [each.found for each in passes if each.found is not None]
        return Row(
            variant=variant,
            rates=rates(passes),
            use=None if self._watch.problem else summarise(samples),
            memory_bytes=self._memory_bytes,
            found=sum(counts) if counts else None,
        )


def in_turns(title: str, contestants: Sequence[Timed], *, rounds: int, tell: Tell) -> tuple[dict[str, list[Pass]], str]:
    """Passes by name, or why there are none."""

    def watch(name: str, number: int, came: Pass) -> None:
        tell(f"{title}, round {number + 1}: {name:<60} {came.images_per_second:9.1f} images/s")

    if not contestants:
        return {}, "nobody could be made ready"
    try:
        return take_turns(contestants, rounds=rounds, watch=watch), ""
    except FAILURES as error:
        reason = f"the race ended: {one_line(error)}"
        tell(f"{title}: {reason}")
        return {}, reason


def one_line(error: Exception) -> str:
    """What an error says, or what it is where it says nothing."""
    return " ".join(str(error).split()) or repr(error)
