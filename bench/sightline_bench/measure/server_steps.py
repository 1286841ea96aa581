"""What a server counts of its models: requests, batches, and the time that each step of a request took."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import tritonclient.grpc

from sightline.errors import MeasurementError

_NANOSECONDS = 1e-9
_PAUSE_SECONDS = 0.1
_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class StepCount:
    """Of one model, since the server began or between two looks.

    Attributes:
        requests: that were answered.
        images: in them.
        executions: batches that the model worked on.
        total_seconds: from taking a request to having its answer, summed over requests; so are the next four.
        queue_seconds: waiting.
        input_seconds: copying inputs to the model.
        infer_seconds: the model at work.
        output_seconds: copying outputs from it.
        busy_seconds: input, work and output, summed over batches.
    """

    requests: int
    images: int
    executions: int
    total_seconds: float
    queue_seconds: float
    input_seconds: float
    infer_seconds: float
    output_seconds: float
    busy_seconds: float

    def __sub__(self, earlier: StepCount) -> StepCount:
        """What came after an earlier look."""
        return StepCount(**{each.name: getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self)})


def count_steps(client: tritonclient.grpc.InferenceServerClient, models: Sequence[str]) -> dict[str, StepCount]:
    """Look at the server's counters.

    Args:
        client: of the server.
        models: names of models, parts of ensembles too.
    """
    return {model: _count(client.get_inference_statistics(model).model_stats[0]) for model in models}


def settled_steps(client: tritonclient.grpc.InferenceServerClient, models: Sequence[str]) -> dict[str, StepCount]:
    """Look when nothing is counted any more: the server counts a request a moment after its answer is sent."""
    last = count_steps(client, models)
    while True:
        time.sleep(_PAUSE_SECONDS)
        now = count_steps(client, models)
        if now == last:
            return now
        last = now


def steps_after(
    client: tritonclient.grpc.InferenceServerClient, before: Mapping[str, StepCount], *, requests: int
) -> dict[str, StepCount]:
    """What was counted since an earlier look, once so many requests of every model are.

    Args:
        client: of the server.
        before: the earlier look, by `settled_steps`.
        requests: that were answered since.

    Raises:
        MeasurementError: they are not counted in time.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        now = count_steps(client, list(before))
        if all(now[model].requests - before[model].requests >= requests for model in before):
            return {model: now[model] - before[model] for model in before}
        if time.monotonic() > deadline:
            raise MeasurementError(
                f"the server did not count {requests} requests of each of {', '.join(before)} within "
                f"{_PATIENCE_SECONDS:g} s; is somebody else using it?"
            )
        time.sleep(_PAUSE_SECONDS)


def _count(told: Any) -> StepCount:
    steps = told.inference_stats
    batches = told.batch_stats
    return StepCount(
        requests=int(steps.success.count),
        images=int(told.inference_count),
        executions=int(told.execution_count),
        total_seconds=steps.success.ns * _NANOSECONDS,
        queue_seconds=steps.queue.ns * _NANOSECONDS,
        input_seconds=steps.compute_input.ns * _NANOSECONDS,
        infer_seconds=steps.compute_infer.ns * _NANOSECONDS,
        output_seconds=steps.compute_output.ns * _NANOSECONDS,
        busy_seconds=_NANOSECONDS
        * sum(each.compute_input.ns + each.compute_infer.ns + each.compute_output.ns for each in batches),
    )
