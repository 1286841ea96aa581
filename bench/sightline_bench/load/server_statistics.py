"""The server's own statistics: what each model of a detector did between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import tritonclient.grpc
from tritonclient.utils import InferenceServerException

from sightline.errors import MeasurementError

PHASES = ("queue", "compute_input", "compute_infer", "compute_output")
"""Of a request in a model, in order, as Triton names them."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one model did.

    Attributes:
        requests: that it answered.
        executions: of batches.
        images: in them.
        queue_ms: mean wait of a request.
        compute_input_ms: mean time in which its inputs were made ready.
        compute_infer_ms: mean time that the model took.
        compute_output_ms: mean time in which its outputs were taken.
    """

    requests: int
    executions: int
    images: int
    queue_ms: float
    compute_input_ms: float
    compute_infer_ms: float
    compute_output_ms: float

    @property
    def images_an_execution(self) -> float:
        """Mean size of a batch."""
        return self.images / self.executions if self.executions else 0.0

    def as_json(self) -> dict[str, Any]:
        """Its fields, and the mean size of a batch."""
        return {**asdict(self), "images_an_execution": self.images_an_execution}


@dataclass(frozen=True)
class Counts:
    """Totals of one model since it was loaded; `phases` has the nanoseconds of each of `PHASES`, of all requests."""

    requests: int
    executions: int
    images: int
    phases: tuple[int, ...]


def read_counts(url: str) -> dict[str, Counts]:
    """Of every model that the server at `url` has loaded.

    Args:
        url: `HOST:PORT` of its gRPC service.

    Raises:
        MeasurementError: it does not tell.
    """
    try:
        with tritonclient.grpc.InferenceServerClient(url) as client:
            statistics = client.get_inference_statistics()
    except InferenceServerException as error:
        raise MeasurementError(f"the server at {url} does not give its statistics: {error}") from error
    return {
        model.name: Counts(
            requests=model.inference_stats.success.count,
            executions=model.execution_count,
            images=model.inference_count,
            phases=tuple(getattr(model.inference_stats, phase).ns for phase in PHASES),
        )
        for model in statistics.model_stats
    }


def steps_between(before: Mapping[str, Counts], after: Mapping[str, Counts]) -> dict[str, Step]:
    """What each model did in between; models without requests are left out.

    An ensemble executes nothing itself, so its phases are the sums of its steps': they stand beside them.
    """
    steps = {}
    for name, now in after.items():
        then = before.get(name, Counts(0, 0, 0, (0,) * len(PHASES)))
        requests = now.requests - then.requests
        if requests:
            means = (1e-6 * (late - early) / requests for late, early in zip(now.phases, then.phases, strict=True))
            steps[name] = Step(
                requests=requests,
                executions=now.executions - then.executions,
                images=now.images - then.images,
                **{f"{phase}_ms": mean for phase, mean in zip(PHASES, means, strict=True)},
            )
    return steps
