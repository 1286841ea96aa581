"""Who took turns with whom: throughput, processor time, memory, and the settings that each ran with."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from sightline_bench.measure.results import Results
from sightline_bench.pages import document, units
from sightline_bench.report import plots

_SECTIONS = {
    "client_over_perf_analyzer": "Sightline's client and perf_analyzer, a model that does nothing",
    "client_memory_growth": "Sightline's client over few images and many, a model that does nothing",
    "clients": "64 clients, fewer, and one that streams",
    "eight_models": "eight models loaded, and one",
}
"""Sections of the file that hold the passes of contestants that are no programs of their own."""
_PEAK = "peak_memory_bytes"


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One line of a race.

    Attributes:
        name: as in the file.
        told: the file's part about it; of those that are no programs, only `passes`.
    """

    name: str
    told: Mapping[str, Any]

    @property
    def passes(self) -> Sequence[Mapping[str, Any]]:
        """One a round; none where it did not run."""
        return self.told["passes"] or ()

    @property
    def works(self) -> bool:
        """Whether it went over images at all; a server that is watched idling has one, as a pass has to have some."""
        return any(each["images"] > 1 for each in self.passes)

    @property
    def rates(self) -> list[float]:
        """Images a second in each round."""
        return [each["images"] / each["seconds"] for each in self.passes]

    @property
    def cpu_milliseconds(self) -> float | None:
        """For an image, the median over the rounds; None where it was not counted."""
        spent = [1000 * each["cpu_seconds"] / each["images"] for each in self.passes]
        return statistics.median(spent) if any(spent) and self.works else None

    @property
    def memory_bytes(self) -> float | None:
        """The most; None where it was not looked at."""
        own = [each["details"][_PEAK] for each in self.passes if _PEAK in each["details"]]
        return max(own) if own else self.told.get(_PEAK)

    @property
    def settings(self) -> str:
        """As `threads 2, batch 8`."""
        return ", ".join(f"{option} {value}" for option, value in self.told.get("settings", {}).items())


def section(results: Results) -> Iterator[str]:
    """Every race, and the search for the best settings of those who took part."""
    races = [*results.races, *_from_sections(results)]
    yield "<h2>Who took turns</h2>"
    if not races:
        yield document.paragraph("Not measured: no race was among the figures that were asked for.", kind="quiet")
    for race in races:
        yield from _race(race)
    yield "<h2>Best settings</h2>"
    if not results.sweeps:
        yield document.paragraph(
            "Not looked for: a quick run takes all cores, and batches where they are expected to help."
            if results.environment.get("quick")
            else "No contestant of this run has settings to choose from.",
            kind="quiet",
        )
    else:
        yield _sweeps(results.sweeps)


def _from_sections(results: Results) -> Iterator[dict[str, Any]]:
    for name, title in _SECTIONS.items():
        if passes := results.sections.get(name):
            contestants = {each: {"passes": came} for each, came in passes.items()}
            yield {"name": name, "title": title, "setting": "", "contestants": contestants}


def _race(race: Mapping[str, Any]) -> Iterator[str]:
    contestants = [Contestant(name=name, told=told) for name, told in race["contestants"].items()]
    yield f"<h3>{escape(race['title'])}</h3>"
    if race["setting"]:
        yield document.paragraph(race["setting"], kind="quiet")
    shown = [each for each in contestants if each.works]
    if len(shown) > 1:
        caption = "Images a second: the median of the rounds, and the lowest and highest."
        svg = plots.rates_plot({each.name: each.rates for each in shown}, salt=f"race {race['name']}")
        yield document.figure(svg, caption)
    heads = ["contestant", ">images", ">images/s", ">low - high", ">CPU ms an image", ">cores busy"]
    heads += [">peak memory", ">objects"]
    yield document.table(heads, [_cells(each) for each in contestants])
    for each in contestants:
        if failure := each.told.get("failure"):
            yield document.paragraph(f"{each.name} did not run: {failure}", kind="warning")
    yield from _processes(contestants)


def _cells(contestant: Contestant) -> list[str]:
    told, passes = contestant.told, contestant.passes
    about = ", ".join(filter(None, [told.get("title"), contestant.settings]))
    script = f" <code>{escape(told['script'])}</code>" if "script" in told else ""
    first = [f"<b>{escape(contestant.name)}</b>" + (f"<br>{escape(about)}{script}" if about else "")]
    memory = "-" if contestant.memory_bytes is None else units.size(contestant.memory_bytes)
    if not passes:
        return [*first, "-", "did not run", "", "-", "-", memory, "-"]
    cores = statistics.median(each["cpu_seconds"] / each["seconds"] for each in passes)
    busy = f"{cores:.2f}" if cores else "-"
    if not contestant.works:
        return [*first, "-", "-", "", "-", f"{cores:.3g}", memory, "-"]
    rates, cpu, found = contestant.rates, contestant.cpu_milliseconds, passes[-1]["found"]
    return [
        *first,
        f"{passes[-1]['images']:,}",
        units.rate(statistics.median(rates)),
        f"{units.rate(min(rates))} - {units.rate(max(rates))}",
        "-" if cpu is None else f"{cpu:.1f}" if cpu >= 1 else f"{cpu:.2f}",
        busy,
        memory,
        "-" if found is None else f"{found:,}",
    ]


def _processes(contestants: Sequence[Contestant]) -> Iterator[str]:
    rows = [
        (escape(each.name), escape(one["name"]), f"{one['cpu_seconds']:.1f}", units.size(one["peak_memory_bytes"]))
        for each in contestants
        for one in each.told.get("processes", ())
    ]
    if rows:
        heads = ("contestant", "process", ">CPU seconds, all rounds", ">peak memory")
        yield f"<details><summary>Every process</summary>{document.table(heads, rows)}</details>"


def _sweeps(sweeps: Sequence[Mapping[str, Any]]) -> str:
    """A line for each value that was tried, the fastest marked."""
    rows = []
    for sweep in sweeps:
        best = max((row["images_per_second"] for row in sweep["rows"]), default=1.0)
        for number, row in enumerate(sweep["rows"]):
            mark = " class=fill" if row["chosen"] else ""
            rate = row["images_per_second"]
            rows.append(
                (
                    escape(sweep["name"]) if number == 0 else "",
                    escape(row["value"]) + (" <b>chosen</b>" if row["chosen"] else ""),
                    units.rate(rate),
                    f"{units.rate(min(row['runs']))} - {units.rate(max(row['runs']))}",
                    f'<div class=meter><i{mark} style="width:{100 * rate / best:.1f}%"></i></div>',
                )
            )
        rows += [
            (escape(sweep["name"]), escape(value), "did not run", "", escape(why))
            for value, why in sweep["failures"].items()
        ]
    return document.table(("contestant", "tried", ">images/s", ">low - high", ""), rows)
