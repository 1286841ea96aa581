"""The short page about a run, in Markdown, made of its file of results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sightline_bench.job_25k.plot import memory_plot, throughput_plot
from sightline_bench.job_25k.section import SECTION
from sightline_bench.measure.results import Results
from sightline_bench.pages import units

_SHOWN_VERSIONS = ("sightline", "openvino", "onnxruntime", "nvidia-dali-cuda120", "nvidia-pytriton", "tritonclient")


def plots(results: Results, stem: str) -> dict[str, str]:
    """Files that the page shows, by their names beside it."""
    section = results.sections[SECTION]
    return {
        f"{stem}_throughput.svg": throughput_plot(section) + "\n",
        f"{stem}_memory.svg": memory_plot(section) + "\n",
    }


def page(results: Results, stem: str) -> str:
    """The page; `stem` is its file's name without its ending, which its plots' names begin with."""
    return "\n".join(_lines(results, stem)) + "\n"


def _lines(results: Results, stem: str) -> Iterator[str]:
    section = results.sections[SECTION]
    environment = results.environment
    yield f"# {section['title']}"
    yield ""
    if section["partial"]:
        yield f"**Ended early:** {section['images']:,} of {section['count']:,} are done; all figures are of them."
        yield ""
    yield f"    {environment['command']}"
    yield ""
    yield from _machine(environment)
    for note in section["notes"]:
        yield f"- {note}"
    yield ""
    yield from _figures(section)
    yield ""
    yield f"![images a second]({stem}_throughput.svg)"
    yield ""
    yield f"![memory]({stem}_memory.svg)"
    yield ""
    yield from _processes(section)
    yield ""
    yield from _steps(section)
    yield ""
    yield from _checks(section)


def _machine(environment: Mapping[str, Any]) -> Iterator[str]:
    machine = environment["machine"]
    features = ", ".join(machine["features"]) or "no vector extensions worth naming"
    yield (
        f"{machine['usable_cores']:g} cores of {machine['cpu']} ({features}), {units.size(machine['memory_bytes'])}, "
        f"{machine['system']}, Python {machine['python']}; load average before the run {machine['load_average']:.1f}."
    )
    versions = environment["versions"]
    shown = ", ".join(f"{name} {versions[name]}" for name in _SHOWN_VERSIONS if name in versions)
    dirty = ", with changes" if environment["dirty"] else ""
    yield f"{shown}. Commit {environment['commit'][:12] or 'unknown'}{dirty}, {environment['began']}."
    yield ""


def _figures(section: Mapping[str, Any]) -> Iterator[str]:
    objects = ", ".join(f"{count:,} by {model}" for model, count in section["objects"].items())
    each_ms = 1000 * section["cpu_seconds_per_image"]
    rows = {
        "files": f"{section['images']:,} done, {section['failed']:,} failed, of {section['count']:,}",
        "wall time": units.duration(section["seconds"]),
        "throughput": f"{section['images_per_second']:.2f} images/s, each through {len(section['models'])} models",
        "processor time": f"{section['cpu_seconds']:,.0f} s, {each_ms:,.0f} ms an image",
        "peak memory, all processes": units.size(section["peak_memory_bytes"]),
        "until the server was ready": units.seconds(section["server_start_seconds"]),
        "objects": f"{sum(section['objects'].values()):,}: {objects}",
    }
    yield "| | |"
    yield "|---|---|"
    yield from (f"| {name} | {value} |" for name, value in rows.items())


def _processes(section: Mapping[str, Any]) -> Iterator[str]:
    whole, images = section["cpu_seconds"], max(1, section["images"])
    yield "| process | how many | processor s | share | ms an image | peak memory |"
    yield "|---|---|---|---|---|---|"
    for each in section["processes"]:
        spent = each["cpu_seconds"]
        yield (
            f"| {each['name']} | {each['processes']} | {spent:,.1f} | {units.percent(spent / whole)} "
            f"| {1000 * spent / images:.1f} | {units.size(each['peak_memory_bytes'])} |"
        )


def _steps(section: Mapping[str, Any]) -> Iterator[str]:
    yield "What the server counted of its models; instances at work are a mean over the whole run."
    yield ""
    yield "| model | batches | images in a batch | instances at work | ms an image |"
    yield "|---|---|---|---|---|"
    for each in section["steps"]:
        yield (
            f"| {each['model']} | {each['executions']:,} | {each['mean_batch']:.1f} "
            f"| {each['busy_seconds'] / section['seconds']:.2f} "
            f"| {1000 * each['busy_seconds'] / max(1, each['images']):.1f} |"
        )


def _checks(section: Mapping[str, Any]) -> Iterator[str]:
    checks = section["checks"]
    shift, score = checks["largest_shift_pixels"], checks["largest_score_difference"]
    compared = checks["identical"] + checks["same_objects"] + checks["different"]
    yield (
        f"Checked: {checks['names']:,} names, {checks['lines']:,} with results of every model, {checks['failed']:,} "
        f"with an error, {checks['missing']:,} with neither. Equal files were compared {compared:,} times, model by "
        f"model: {checks['identical']:,} digit by digit the same, {checks['same_objects']:,} with the same objects "
        f"(coordinates within {shift:.2g} pixels, scores within {score:.2g}), "
        f"{checks['different']:,} different."
    )
    for format_, by_model in checks["files"].items():
        what = "objects in a file" if format_ == "coco" else "files"
        yield f"{format_}: " + ", ".join(f"{count:,} {what} of {model}" for model, count in by_model.items()) + "."
    yield ""
    problems = checks["problems"]
    yield "Nothing is wrong." if not problems else "**Wrong: " + "; ".join(problems) + ".**"
