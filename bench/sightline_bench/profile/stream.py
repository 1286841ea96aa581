"""Pictures streamed as `sightline detect` does, and what each step of the server was busy with meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import tritonclient.grpc

from sightline import Client, job
from sightline.writers import ErrorLog, WriterPool
from sightline_bench.measure.server_steps import StepCount, settled_steps
from sightline_bench.measure.usage import sampled, tree
from sightline_bench.profile.served import Chain, writers_for


@dataclass(frozen=True, kw_only=True)
class StepLoad:
    """One model while pictures were streamed.

    Attributes:
        model: its name.
        instances: processes that run it.
        busy: share of the time in which its instances were at work, 0 to 1.
        mean_batch: pictures in a batch.
        milliseconds: of an instance, for a picture.
        queue_milliseconds: that a request waited, the mean.
    """

    model: str
    instances: int
    busy: float
    mean_batch: float
    milliseconds: float
    queue_milliseconds: float


@dataclass(frozen=True, kw_only=True)
class Streamed:
    """A stream of pictures.

    Attributes:
        images: how many were done.
        failed: how many were not.
        seconds: until the last result was written.
        steps: the models that compute.
        memory_bytes: peak PSS of the server's processes, from a second stream.
    """

    images: int
    failed: int
    seconds: float
    steps: tuple[StepLoad, ...]
    memory_bytes: int

    @property
    def images_per_second(self) -> float:
        """Throughput."""
        return self.images / self.seconds

    @property
    def busiest(self) -> StepLoad:
        """The step that limits the stream."""
        return max(self.steps, key=lambda step: step.busy)


def stream(
    chain: Chain,
    files: Sequence[Path],
    *,
    images: int,
    formats: Sequence[str],
) -> Streamed:
    """Stream pictures twice, once timed and once for the memory, and write what is found.

    Args:
        chain: which models answer.
        files: image files, used in turn.
        images: how many.
        formats: what is written.
    """
    steps = [model for model in chain.models if model != chain.model or model == chain.network]
    _run(chain, files, images=min(images, len(files)), formats=formats)
    with tritonclient.grpc.InferenceServerClient(chain.url) as server:
        before = settled_steps(server, steps)
        report = _run(chain, files, images=images, formats=formats)
        after = settled_steps(server, steps)
    with sampled(lambda: tree(chain.server_pid)) as peaks:
        _run(chain, files, images=images, formats=formats)
    counts = {model: after[model] - before[model] for model in steps}
    return Streamed(
        images=report.done,
        failed=report.failed,
        seconds=report.seconds,
        steps=tuple(_load(model, counts[model], chain.instances[model], report.seconds) for model in steps),
        memory_bytes=peaks.total,
    )


def _run(chain: Chain, files: Sequence[Path], *, images: int, formats: Sequence[str]) -> job.JobReport:
    with tempfile.TemporaryDirectory(prefix="sightline-profile-") as name:
        folder = Path(name)
        writers = list(writers_for(formats, folder, files[0].parent))
        with Client(chain.url, model=chain.model) as client:
            results = client.stream(islice(cycle(files), images))
            return job.run(results, pool=WriterPool(writers, errors=ErrorLog(folder)))


def _load(model: str, count: StepCount, instances: int, seconds: float) -> StepLoad:
    return StepLoad(
        model=model,
        instances=instances,
        busy=min(1.0, count.busy_seconds / (instances * seconds)),
        mean_batch=count.images / max(1, count.executions),
        milliseconds=1000 * count.busy_seconds / max(1, count.images),
        queue_milliseconds=1000 * count.queue_seconds / max(1, count.requests),
    )
