"""The plots of a run, as SVG text that stands in a page."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline_bench.pages import units
from sightline_bench.pages.plotting import AMBER, BLUE, GREEN, GREY, INK, LIME, QUIET, VIOLET, drawn, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = (GREEN, BLUE, AMBER, VIOLET, LIME, GREY)
_TOO_WIDE = 15.0
"""Times the lowest from which on bars from zero would hide it, and points on a logarithmic scale take their place."""
_SMALL = 8.5
_MARKERS = (("o", "-"), ("s", "--"), ("^", "-."))


def rates_plot(
    rates: Mapping[str, Sequence[float]],
    *,
    salt: str,
    label: str = "images/s",
    show: Callable[[float], str] = units.rate,
) -> str:
    """Images a second, or another figure, of everybody: the median, and the lowest and highest."""
    medians = [statistics.median(each) for each in rates.values()]

    def draw(axes: Axes) -> None:
        wide = max(medians) > _TOO_WIDE * min(medians)
        for place, (each, median) in enumerate(zip(rates.values(), medians, strict=True)):
            colour = GREEN if place == 0 else "#5eaaa3"
            if wide:
                axes.plot(median, place, "o", color=colour, markersize=9)
            else:
                axes.barh(place, median, height=0.6, color=colour)
            axes.plot([min(each), max(each)], [place, place], color=INK, linewidth=1.6, solid_capstyle="butt")
            _beside(axes, show(median), max(each), place)
        _name_rows(axes, list(rates))
        if wide:
            axes.set(xscale="log", xlim=(min(map(min, rates.values())) / 1.5, max(map(max, rates.values())) * 2.5))
            _plain_numbers(axes, x=True)
        else:
            axes.set_xlim(0, max(map(max, rates.values())) * 1.15)
        axes.set_xlabel(f"{label}{', logarithmic' if wide else ''}")
        dress(axes, grid="x")

    return drawn(0.9 + 0.38 * len(rates), draw, salt=salt)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Loads of one kind, in order.

    Attributes:
        title: of all of them.
        points: images a second, and milliseconds within which a half and 99 % of the requests were answered.
        labels: of each point; empty where it needs none.
    """

    title: str
    points: Sequence[tuple[float, float, float]]
    labels: Sequence[str]


def latency_plot(curves: Sequence[Curve]) -> str:
    """Latency over throughput: a line through the medians, and a thin one from each up to p99."""

    def draw(axes: Axes) -> None:
        for number, curve in enumerate(curves):
            colour = PALETTE[number % len(PALETTE)]
            rates, middles, highs = zip(*curve.points, strict=True)
            marker, style = _MARKERS[number % len(_MARKERS)]
            axes.plot(
                rates, middles, style, color=colour, marker=marker, linewidth=2.0, markersize=6, label=curve.title
            )
            axes.vlines(rates, middles, highs, color=colour, linewidth=1.1, alpha=0.75)
            axes.plot(rates, highs, "_", color=colour, markersize=9, markeredgewidth=1.4)
            for (rate, middle, _), label in zip(curve.points, curve.labels, strict=True):
                right = number % 2 == 0
                axes.annotate(
                    label,
                    (rate, middle),
                    xytext=(7 if right else -7, -3),
                    textcoords="offset points",
                    ha="left" if right else "right",
                    fontsize=_SMALL,
                    color=colour,
                )
        axes.set(yscale="log", xlabel="images/s", ylabel="latency of a request, ms (p50, up to p99)")
        highest = max(point[0] for curve in curves for point in curve.points)
        axes.set_xlim(0, highest * 1.12)
        _plain_numbers(axes, x=False)
        dress(axes)
        axes.legend(loc="upper left", frameon=False, fontsize=_SMALL)

    return drawn(4.4, draw, salt="latency")


def stages_plot(rows: Mapping[str, Mapping[str, float]], colours: Mapping[str, str]) -> str:
    """Of each row the parts as shares of their sum, whose milliseconds stand beside.

    Args:
        rows: milliseconds of each part, by the row's title.
        colours: of every part, in the order in which they are drawn.
    """

    def draw(axes: Axes) -> None:
        for place, parts in enumerate(rows.values()):
            whole, left = sum(parts.values()) or 1.0, 0.0
            for part, colour in colours.items():
                share = parts.get(part, 0.0) / whole
                name = part if place == 0 else None
                axes.barh(
                    place, share, left=left, height=0.74, color=colour, edgecolor="white", linewidth=0.6, label=name
                )
                if share > 0.09:
                    text, dark = units.milliseconds(parts[part]), sum(_channels(colour)) < 1.6
                    axes.text(
                        left + share / 2,
                        place,
                        text,
                        ha="center",
                        va="center",
                        color="white" if dark else INK,
                        fontsize=7.5,
                    )
                left += share
            _beside(axes, units.milliseconds(whole), 1.0, place)
        _name_rows(axes, list(rows))
        axes.set_xlim(0, 1.1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
        dress(axes, grid="x")
        axes.figure.legend(loc="outside upper center", ncols=4, frameon=False, fontsize=_SMALL)

    return drawn(1.3 + 0.29 * len(rows), draw, salt="stages")


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)


def _beside(axes: Axes, text: str, value: float, place: int) -> None:
    axes.annotate(
        text, (value, place), xytext=(7, 0), textcoords="offset points", va="center", fontsize=_SMALL, color=QUIET
    )


def _plain_numbers(axes: Axes, *, x: bool) -> None:
    """2, 5, 10, 20 … instead of powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis = axes.xaxis if x else axes.yaxis
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _channels(colour: str) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    return to_rgb(colour)
