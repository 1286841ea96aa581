"""An engine that takes all cores while no other instance of the server computes, and else its share of them.

No engine for CPUs can change its number of threads, so there are two: the second one, for all cores, is opened in the
background once requests have come alone. A server that is always busy, or a model that nobody asks, never has it.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sightline.errors import SightlineError
from sightline_server.engines import Arrays, Engine
from sightline_server.presence import Presence

_LONE_RUNS = 2
"""Requests without company after which the second engine is opened; the first one of a busy time has none either."""


class OneByOneEngine:
    """An engine that computes the images of a batch one after the other.

    On a CPU they take as long together, and the memory of them all. An engine also prepares itself for every new shape,
    of which rectangles times batch sizes are many, and rectangles alone a few.

    Args:
        engine: what computes.
        batched: whether the first axis of all inputs and outputs counts images.
    """

    def __init__(self, engine: Engine, *, batched: bool) -> None:
        self._engine, self._batched = engine, batched
        self.name, self.version, self.precision = engine.name, engine.version, engine.precision
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Compute every output."""
        rows = {len(values) for values in inputs.values()} if self._batched else {1}
        # What has no images, or differently many, is for the engine to refuse.
        if len(rows) > 1 or min(rows) <= 1:
            return self._compute(inputs)
        parts = [self._row(inputs, row) for row in range(min(rows))]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _row(self, inputs: Mapping[str, Any], row: int) -> Arrays:
        outputs = self._compute({name: values[row : row + 1] for name, values in inputs.items()})
        # The next run may write into the same memory.
        return {name: values.copy() for name, values in outputs.items()}

    def _compute(self, inputs: Mapping[str, Any]) -> Arrays:
        return self._engine.run(inputs)


class PresentEngine(OneByOneEngine):
    """The same, which tells the other instances while it computes.

    Args:
        engine: what computes.
        presence: of this instance.
        batched: whether the first axis of all inputs and outputs counts images.
    """

    def __init__(self, engine: Engine, presence: Presence, *, batched: bool) -> None:
        super().__init__(engine, batched=batched)
        self._presence = presence

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Compute every output."""
        with self._presence.computing():
            return super().run(inputs)


class ElasticEngine(PresentEngine):
    """The same, with a second engine for all cores, which takes each image that nobody else computes beside.

    Args:
        engine: what computes while others do, on this instance's share of the cores.
        open_wide: opens the second one.
        presence: of this instance.
        batched: whether the first axis of all inputs and outputs counts images.
        warm_ups: runs at first that are no requests.
    """

    def __init__(
        self,
        engine: Engine,
        open_wide: Callable[[], Engine],
        presence: Presence,
        *,
        batched: bool,
        warm_ups: int = 0,
    ) -> None:
        super().__init__(engine, presence, batched=batched)
        self._open_wide = open_wide
        self._wide: Engine | None = None
        self._warm_ups_left = warm_ups
        self._lone_runs_left = _LONE_RUNS
        self._opening: threading.Thread | None = None

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Compute every output."""
        warms_up, alone = self._warm_ups_left > 0, self._presence.alone()
        outputs = super().run(inputs)
        if warms_up:
            self._warm_ups_left -= 1
        elif alone and self._opening is None:
            self._count_lone_run()
        return outputs

    def _compute(self, inputs: Mapping[str, Any]) -> Arrays:
        wide = self._wide
        return (self._engine if wide is None or not self._presence.alone() else wide).run(inputs)

    def _count_lone_run(self) -> None:
        self._lone_runs_left -= 1
        if not self._lone_runs_left:
            self._opening = threading.Thread(target=self._open, name="sightline-wide-engine")
            self._opening.start()

    def _open(self) -> None:
        try:
            self._wide = self._open_wide()
        except SightlineError as error:
            print(f"no engine for all cores, lone requests keep to their share of them: {error}", file=sys.stderr)
