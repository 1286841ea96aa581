"""What a server counts of its models: requests, batches, and the time that each step of a request took."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import tritonclient.grpc

_NANOSECONDS = 1e-9


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
