"""What a run of the job gives: a part of a file of results, under `sections.job_25k`, and what a report draws.

    {"title": for people, "formats": ["jsonl", ...], "models": [...], "group": "five", "precision": "fp32",
     "count": names that there were, "pictures": different files behind them, "partial": whether it was ended early,
     "notes": [sentences for people],
     "server_start_seconds": until every model was ready,
     "seconds": of `sightline detect`, from its start to its end,
     "images": that have a line in the results, "failed": that have one among the errors,
     "images_per_second": images and failed by seconds,
     "cpu_seconds": of all processes meanwhile, "cpu_seconds_per_image",
     "peak_memory_bytes": most PSS of all processes together, sampled,
     "objects": {MODEL: found in all images together},
     "processes": [{"name", "processes": how many of that name, "cpu_seconds", "peak_memory_bytes"}],
     "steps": [{"model", "executions", "images", "mean_batch", "busy_seconds", "queue_seconds"}],
     "samples": {"seconds": [since the start of the job], "images": [written until then],
                 "cpu_seconds": [used until then], "memory_bytes": {NAME: [...]}},
     "checks": {"lines", "names", "missing", "failed", "unexpected", "repeated", "incomplete", "identical",
                "same_objects", "different", "largest_shift_pixels", "largest_score_difference", "objects", "files",
                "problems": [sentences]}}

Every list in `samples` has as many entries, the first at the start of the job. The names in `memory_bytes` are those of
`processes`; a process that does not live yet, or no more, has 0. Images a second between two samples are the difference
of `images` by that of `seconds`, which `throughput` gives. `problems` of a sound run are empty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

SECTION = "job_25k"
_LEAST_WINDOWS = 60
"""Points of a curve of throughput: more would show batches, not the course of the job."""


@dataclass(frozen=True)
class Throughput:
    """Images a second over the course of a job.

    Attributes:
        seconds: middle of each window, since the start.
        images_per_second: mean in each window.
    """

    seconds: tuple[float, ...]
    images_per_second: tuple[float, ...]


def throughput(samples: Mapping[str, Any], *, windows: int = _LEAST_WINDOWS) -> Throughput:
    """From the samples of a section, in at most so many windows of several samples each."""
    points = list(zip(samples["seconds"], samples["images"], strict=True))
    step = max(1, len(points) // windows)
    chosen = [*points[:-1:step], points[-1]] if points else []
    pieces = [(begin, end) for begin, end in pairwise(chosen) if end[0] > begin[0]]
    return Throughput(
        tuple((begin[0] + end[0]) / 2 for begin, end in pieces),
        tuple((end[1] - begin[1]) / (end[0] - begin[0]) for begin, end in pieces),
    )


def memory_by_name(samples: Mapping[str, Any]) -> dict[str, Sequence[int]]:
    """Memory over time of each sort of process, those that ever needed most first."""
    return dict(sorted(samples["memory_bytes"].items(), key=lambda each: -max(each[1], default=0)))
