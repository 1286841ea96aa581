"""The results of a run as a page that stands alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path

from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units
from sightline_bench.report import figures, gpu, job_25k, joined, load, races, wording

_NAME = "bench.json"


def write_report(path: Path, results: Results) -> None:
    """Write the page.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        OutputError: the file cannot be written.
    """
    document.check_matplotlib()
    document.write_page(path, render(results))


def render(results: Results) -> str:
    """The page's text."""
    return document.document("Sightline beside what people use", _body(results))


def _body(results: Results) -> Iterator[str]:
    environment = results.environment
    yield document.header("sightline bench", "Sightline beside what people use", environment["machine"])
    yield _cards(results)
    yield f"<pre>{escape(environment['command'])}</pre>"
    for warning in _warnings(results):
        yield document.paragraph(warning, kind="warning")
    yield from joined.section(results)
    yield from figures.section(results)
    yield from load.section(results)
    yield from gpu.section(results)
    yield from job_25k.section(results)
    yield from races.section(results)
    yield from _end(results)


def _cards(results: Results) -> str:
    environment, all_figures = results.environment, results.figures.values()
    reached = [each.reached for each in all_figures]
    values = [
        (f"{reached.count(True)} of {len(reached)}", "figures reached"),
        (str(reached.count(False)), "missed"),
        (str(sum(each.ratio is None for each in all_figures)), "not measured"),
        (units.duration(environment["seconds"]), wording.extent(environment)),
        (environment["began"][:10], f"began at {environment['began'][11:16]}, commit {environment['commit'][:7]}"),
    ]
    return document.cards(values)


def _warnings(results: Results) -> Iterator[str]:
    environment = results.environment
    if not environment.get("complete", True):
        yield (
            "This run was cut off: what it had is here, the other figures say so. Groups that were measured: "
            f"{', '.join(environment['seconds_by_group']) or 'none'}."
        )
    if environment["dirty"]:
        yield "The checkout had changes beside its commit: measured was what lay there, which nobody can get back."
    if environment.get("quick"):
        yield "A quick run: fewer images and rounds, and nobody's best settings were looked for."
    cores, load_average = environment["machine"]["usable_cores"], environment["machine"]["load_average"]
    if load_average > cores / 2:
        yield (
            f"The machine had other work when the run began (load {load_average:.1f} on {cores:g} cores). Everybody "
            "took turns, so ratios within a round hold; absolute times are too long, and spreads are wide."
        )


def _end(results: Results) -> Iterator[str]:
    environment = results.environment
    by_group = environment.get("seconds_by_group", {})
    times = ", ".join(f"{group} {units.duration(taken)}" for group, taken in by_group.items())
    yield "<h2>How it was measured</h2><ul>"
    yield "".join(f"<li>{escape(line)}</li>" for line in _METHODS)
    yield f"</ul><p class=quiet>Pictures: {escape(environment.get('images', 'not told'))}. "
    yield f"Commit {document.commit_words(environment)}. Time of each group: {escape(times) or 'none measured'}.<br>"
    yield f"{escape(document.software(environment['machine'], environment['versions']))}</p>"
    whole = json.dumps(results.as_json(), ensure_ascii=False).encode()
    data = base64.b64encode(whole).decode()
    yield (
        f'<p><a download="{_NAME}" href="data:application/json;base64,{data}">{_NAME}</a>: everything that was '
        f"measured; <code>sightline bench --from {_NAME} --html bench.html</code> makes this page of it.</p>"
    )


_METHODS = (
    "Contestants are programs of their own, all loaded before the first turn; each makes a pass over its images in "
    "every round, A B C, C B A, A B C. A figure is the ratio of two contestants within a round: the median over the "
    "rounds, with the lowest and the highest.",
    "Processor time is that of all of a contestant's processes, of Sightline the client, Triton and every process of "
    "its models. Memory is their highest proportional set size (PSS) in a pass that is not timed.",
    "Everybody computes on the processor; a GPU is hidden from all of them.",
    "Latencies under load are those that the program sending it saw; the server's steps are Triton's own counters over "
    "the same run, means of a request.",
)
