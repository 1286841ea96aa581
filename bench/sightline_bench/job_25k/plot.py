"""The plots of a job: images a second and memory, over its course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sightline_bench.job_25k.section import memory_by_name, throughput
from sightline_bench.pages.plotting import AMBER, BLUE, GREEN, GREY, LIME, VIOLET, drawn, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (BLUE, AMBER, VIOLET, LIME, GREY)
_MINUTES_BEYOND = 600.0
"""Seconds from which on the axis counts minutes."""


def throughput_plot(section: Mapping[str, Any]) -> str:
    """Images a second, as an `<svg>` element."""
    course = throughput(section["samples"])

    def draw(axes: Axes) -> None:
        scale = _time_axis(axes, section)
        axes.plot([each / scale for each in course.seconds], course.images_per_second, color=GREEN, linewidth=2.0)
        axes.axhline(section["images_per_second"], color=GREY, linewidth=1.0, linestyle=":")
        axes.set_ylabel("images/s")
        axes.set_ylim(0, 1.1 * max(course.images_per_second, default=1.0))

    return drawn(2.6, draw, salt="job throughput")


def memory_plot(section: Mapping[str, Any]) -> str:
    """Memory of each sort of process on top of each other, as an `<svg>` element."""
    samples = section["samples"]
    names = memory_by_name(samples)
    shown = dict(list(names.items())[: len(_COLOURS) - 1])
    rest = [each for name, each in names.items() if name not in shown]

    def draw(axes: Axes) -> None:
        scale = _time_axis(axes, section)
        stacked = [[value / 1e6 for value in each] for each in shown.values()]
        stacked.append([sum(values) / 1e6 for values in zip(*rest, strict=True)] or [0.0] * len(samples["seconds"]))
        labels = [*shown, f"{len(rest)} others"]
        seconds = [each / scale for each in samples["seconds"]]
        axes.stackplot(seconds, *stacked, labels=labels, colors=(*_COLOURS[: len(shown)], GREY), alpha=0.8)
        axes.set_ylabel("MB (PSS)")
        axes.set_ylim(bottom=0)
        axes.figure.legend(loc="outside upper center", fontsize=8.5, ncols=3, frameon=False)

    return drawn(3.2, draw, salt="job memory")


def _time_axis(axes: Axes, section: Mapping[str, Any]) -> float:
    """Dress the axes, and say by what to divide seconds."""
    long = section["seconds"] > _MINUTES_BEYOND
    axes.set_xlabel("minutes since the start" if long else "seconds since the start")
    scale = 60.0 if long else 1.0
    axes.set_xlim(0, max(section["samples"]["seconds"][-1], 1.0) / scale)
    dress(axes)
    return scale
