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


class PresentEngine:
    """An engine that tells the other instances while it computes.

    Args:
        engine: what computes.
        presence: of this instance.
    """

    def __init__(self, engine: Engine, presence: Presence) -> None:
        self._engine, self._presence = engine, presence
        self.name, self.version, self.precision = engine.name, engine.version, engine.precision
        self.inputs, self.outputs = engine.inputs, engine.outputs

    def run(self, inputs: Mapping[str, Any]) -> Arrays:
        """Compute every output."""
        with self._presence.computing():
            return self._run(inputs)

    def _run(self, inputs: Mapping[str, Any]) -> Arrays:
        return self._engine.run(inputs)


class ElasticEngine(PresentEngine):
    """An engine with a second one beside it, for all cores.

    The second one computes one image at a time: on a CPU that takes as long as all together, it needs the memory of one
    only, and when another instance begins, the first engine goes on with what is left.

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
        super().__init__(engine, presence)
        self._open_wide = open_wide
        self._batched = batched
        self._wide: Engine | None = None
        self._warm_ups_left = warm_ups
        self._lone_runs_left = _LONE_RUNS
        self._opening: threading.Thread | None = None

    def _run(self, inputs: Mapping[str, Any]) -> Arrays:
        if self._warm_ups_left:
            self._warm_ups_left -= 1
        elif self._presence.alone():
            if self._wide is not None:
                return self._run_wide(self._wide, inputs)
            self._count_lone_run()
        return self._engine.run(inputs)

    def _run_wide(self, wide: Engine, inputs: Mapping[str, Any]) -> Arrays:
        rows = {len(values) for values in inputs.values()} if self._batched else {1}
        if rows == {1}:
            return wide.run(inputs)
        # What has no images, or differently many, is for an engine to refuse.
        return self._run_rows(wide, inputs, min(rows)) if len(rows) == 1 and min(rows) else self._engine.run(inputs)

    def _run_rows(self, wide: Engine, inputs: Mapping[str, Any], rows: int) -> Arrays:
        """Image by image while nobody else computes, then the others together."""
        parts: list[Arrays] = []
        while len(parts) < rows and self._presence.alone():
            row = wide.run({name: values[len(parts) : len(parts) + 1] for name, values in inputs.items()})
            # The next run may write into the same memory.
            parts.append({name: values.copy() for name, values in row.items()})
        if len(parts) < rows:
            parts.append(self._engine.run({name: values[len(parts) :] for name, values in inputs.items()}))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def _count_lone_run(self) -> None:
        self._lone_runs_left -= 1
        if self._lone_runs_left <= 0 and self._opening is None:
            self._opening = threading.Thread(target=self._open, name="sightline-wide-engine")
            self._opening.start()

    def _open(self) -> None:
        try:
            self._wide = self._open_wide()
        except SightlineError as error:
            print(f"no engine for all cores, lone requests keep to their share of them: {error}", file=sys.stderr)
