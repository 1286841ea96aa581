"""Plots by matplotlib, as SVG text that stands in a page."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, QUIET, GRID, CONTRAST = "#1b1f24", "#6b7280", "#e5e7eb", "#e4572e"
GREEN, BLUE, AMBER, VIOLET, LIME, GREY = "#0f766e", "#2563eb", "#f59e0b", "#a78bfa", "#84cc16", "#94a3b8"
_WIDTH = 9.2


@contextmanager
def _style(salt: str) -> Iterator[None]:
    from matplotlib import rc_context

    # Text stays text: it can be searched, and looks as the page does. The salt keeps ids of several plots apart.
    settings: Any = {"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9.5}
    with rc_context(settings):
        yield


def drawn(height: float, draw: Callable[[Axes], None], *, salt: str) -> str:
    """An `<svg>` element of a plot with one pair of axes, `height` inches high; `salt` is unique in its page."""
    from matplotlib.figure import Figure

    with _style(salt):
        figure: Any = Figure(figsize=(_WIDTH, height), facecolor="none", layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    return svg[svg.index("<svg") :]


def dress(axes: Axes, *, grid: str = "both") -> None:
    """The looks that all plots share."""
    axes.grid(visible=True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(QUIET)
    axes.tick_params(colors=QUIET, labelcolor=INK, which="both")
