"""Joining requests and taking them apart again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from sightline_server.batching import run_requests
from sightline_server.engines import Array, Arrays, EngineError


class Doubling:
    """An engine that doubles, refuses 13, and uses its memory again as OpenVINO does."""

    name = "doubling"
    version = "1"
    precision: str = "fp32"
    inputs: Sequence[str] = ("x",)
    outputs: Sequence[str] = ("y",)

    def __init__(self) -> None:
        self.calls: list[int] = []
        self._memory: npt.NDArray[np.float32] = np.zeros((64, 2), np.float32)

    def run(self, inputs: Mapping[str, Array]) -> Arrays:
        values = inputs["x"]
        self.calls.append(len(values))
        if 13 in values:
            raise EngineError("13 is refused")
        answer = self._memory[: len(values), : values.shape[1]]
        answer[:] = values * 2
        return {"y": answer}


def requests(*sizes: int) -> list[Arrays]:
    return [{"x": np.full((size, 2), index, np.float32)} for index, size in enumerate(sizes)]


def results(engine: Doubling, given: list[Arrays], *, joined: bool = True) -> list[list[float] | str]:
    answers = run_requests(engine, given, joined=joined)
    return [str(answer) if isinstance(answer, EngineError) else answer["y"][:, 0].tolist() for answer in answers]


def test_one_request_runs_as_it_is() -> None:
    engine = Doubling()
    assert results(engine, requests(3)) == [[0.0] * 3]
    assert engine.calls == [3]


def test_requests_of_different_sizes_run_together() -> None:
    engine = Doubling()
    assert results(engine, requests(1, 3, 2)) == [[0.0], [2.0] * 3, [4.0] * 2]
    assert engine.calls == [6]


def test_after_a_failure_each_runs_alone() -> None:
    engine = Doubling()
    given = requests(1, 2, 1)
    given[1]["x"][0] = 13
    assert results(engine, given) == [[0.0], "13 is refused", [4.0]]
    assert engine.calls == [4, 1, 2, 1]


def test_different_shapes_run_alone() -> None:
    engine = Doubling()
    given = requests(1, 1)
    given[1]["x"] = np.full((1, 1), 5, np.float32)
    assert results(engine, given) == [[0.0], [10.0]]
    assert engine.calls == [1, 1]


def test_without_a_batch_axis_nothing_is_joined() -> None:
    engine = Doubling()
    assert results(engine, requests(2, 2), joined=False) == [[0.0] * 2, [2.0] * 2]
    assert engine.calls == [2, 2]
