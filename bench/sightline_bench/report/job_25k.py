"""The articles' whole job: images a second and memory over its course."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from sightline_bench.job_25k.plot import memory_plot, throughput_plot
from sightline_bench.job_25k.section import SECTION
from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units


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
    if len(job["samples"]["seconds"]) > 1:
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
    yield document.figure(throughput_plot(job), "Images a second over the course of the job; dotted: the mean.")
    yield document.figure(memory_plot(job), "Memory over the course of the job (PSS), processes of a name together.")


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
