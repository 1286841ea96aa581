"""The articles' whole job: images a second and memory over its course."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from sightline_bench.job_25k.section import SECTION, memory_by_name, throughput
from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units
from sightline_bench.report import plots

_DRAWN = 5
"""Sorts of processes with a colour of their own; the others are drawn together."""


def section(results: Results) -> Iterator[str]:
    """What `make job-25k` gave; nothing but how to get it where the file has none."""
    yield "<h2>The whole job: five models over 25,000 files</h2>"
    job = results.sections.get(SECTION)
    if job is None:
        yield document.paragraph("Not measured in this run; make job-25k measures it.", kind="quiet")
        return
    yield document.paragraph(f"{job['title']}: {', '.join(job['models'])} in {job['precision']}.")
    if job["partial"]:
        yield document.paragraph("It was ended early.", kind="warning")
    yield document.cards(_cards(job))
    for note in job["notes"]:
        yield document.paragraph(note, kind="quiet")
    for problem in job["checks"]["problems"]:
        yield document.paragraph(problem, kind="warning")
    yield from _course(job)
    yield from _tables(job)


def _cards(job: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{job['images']:,}", f"images; {job['failed']:,} failed"),
        (units.duration(job["seconds"]), "from start to end"),
        (units.rate(job["images_per_second"]), "images/s, every model over each"),
        (f"{1000 * job['cpu_seconds_per_image']:.0f} ms", "processor time an image"),
        (units.size(job["peak_memory_bytes"]), "peak memory of all processes"),
    ]


def _course(job: Mapping[str, Any]) -> Iterator[str]:
    samples = job["samples"]
    course = throughput(samples)
    if len(course.seconds) > 1:
        svg = plots.over_time_plot(course.seconds, {"images/s": course.images_per_second}, "images/s")
        yield document.figure(svg, "Images a second over the course of the job.")
    if len(samples["seconds"]) > 1:
        svg = plots.over_time_plot(samples["seconds"], _memory(samples), "memory, GB", filled=True)
        yield document.figure(svg, "Memory over the course of the job (PSS), all processes of a name together.")


def _memory(samples: Mapping[str, Any]) -> dict[str, list[float]]:
    """Gigabytes of those that need most, and of all others."""
    named = [(name, [each / 1e9 for each in values]) for name, values in memory_by_name(samples).items()]
    drawn, others = dict(named[:_DRAWN]), [values for _, values in named[_DRAWN:]]
    if others:
        drawn["others"] = [sum(values) for values in zip(*others, strict=True)]
    return drawn


def _tables(job: Mapping[str, Any]) -> Iterator[str]:
    yield "<div class=side><div><h3>Steps of the server</h3>"
    yield document.table(
        ("model", ">images", ">mean batch", ">busy s", ">in the queue s"),
        [
            (
                escape(step["model"]),
                f"{step['images']:,}",
                f"{step['mean_batch']:.1f}",
                f"{step['busy_seconds']:,.0f}",
                f"{step['queue_seconds']:,.0f}",
            )
            for step in job["steps"]
        ],
    )
    yield "</div><div><h3>Processes</h3>"
    yield document.table(
        ("process", ">how many", ">CPU seconds", ">peak memory"),
        [
            (
                escape(each["name"]),
                str(each["processes"]),
                f"{each['cpu_seconds']:,.0f}",
                units.size(each["peak_memory_bytes"]),
            )
            for each in job["processes"]
        ],
    )
    yield "</div></div>"
    found = [(escape(model), f"{count:,}") for model, count in job["objects"].items()]
    yield document.table(("model", ">objects in all images"), found)
