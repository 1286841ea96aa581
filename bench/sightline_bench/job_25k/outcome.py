"""The section of a run, made of what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sightline_bench.job_25k.checks import Checks
from sightline_bench.job_25k.job import Course, Job
from sightline_bench.job_25k.watch import peak_bytes, processes_json, samples_json


def section_of(job: Job, course: Course, checks: Checks, *, pictures: int, notes: Sequence[str]) -> dict[str, Any]:
    """As `section` describes it.

    Args:
        job: what was to be done.
        course: what became of it.
        checks: what its results hold.
        pictures: different files behind the names.
        notes: sentences for people, besides those that always hold.
    """
    samples = samples_json(course.watch)
    done = checks.lines + checks.failed
    cpu_seconds = samples["cpu_seconds"][-1]
    return {
        "title": f"{len(checks.objects)} models over {job.count:,} files",
        "group": job.exported.model,
        "models": list(checks.objects),
        "precision": job.exported.precision,
        "formats": list(job.formats),
        "count": job.count,
        "pictures": pictures,
        "partial": course.interrupted,
        "notes": [*_notes(job, pictures), *notes],
        "server_start_seconds": round(course.server_start_seconds, 2),
        "seconds": round(course.seconds, 2),
        "images": checks.lines,
        "failed": checks.failed,
        "images_per_second": done / course.seconds,
        "cpu_seconds": cpu_seconds,
        "cpu_seconds_per_image": cpu_seconds / max(1, done),
        "peak_memory_bytes": peak_bytes(course.watch.samples),
        "objects": checks.objects,
        "processes": processes_json(course.watch),
        "steps": list(_steps(course)),
        "samples": samples,
        "checks": checks.as_json(),
    }


def _notes(job: Job, pictures: int) -> Iterator[str]:
    if pictures < job.count:
        yield (
            f"{pictures:,} pictures stand under {job.count:,} names, as links. The response cache is off, so each name "
            "is decoded and goes through every network; the system keeps the files themselves in memory."
        )
    yield "The time is that of `sightline detect`, from its start until all is written; the server runs by then."


def _steps(course: Course) -> Iterator[dict[str, Any]]:
    for model, count in course.steps.items():
        yield {
            "model": model,
            "executions": count.executions,
            "images": count.images,
            "mean_batch": count.images / max(1, count.executions),
            "busy_seconds": round(count.busy_seconds, 2),
            "queue_seconds": round(count.queue_seconds, 2),
        }
