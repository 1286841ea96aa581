"""Precision against recall, drawn: every category thin, their mean bold, and a list that tells which is which."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.errors import InvalidOptionError, OutputError
from sightline.precision_recall import RECALLS
from sightline.writers.files import reason_of

from .evaluation import Evaluation
from .metrics import ClassMetrics, check_installed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLOT_SUFFIXES = (".png", ".svg")
_ROWS = 28
"""Names in one column of the list."""
_MOST_NAMES = 3 * _ROWS
_LONGEST_NAME = 26
_PLOT_INCHES, _COLUMN_INCHES, _HEIGHT_INCHES, _MARGIN_INCHES = 6.4, 1.75, 5.6, 0.62
_COLOURS, _INK, _QUIET, _CONTRAST = "viridis_r", "#1b1f24", "#6b7280", "#e4572e"


def check_plot_path(path: Path) -> Path:
    """`path` itself if a plot can be written in the format that its name asks for.

    Raises:
        InvalidOptionError: it ends in something else.
    """
    if path.suffix.lower() not in PLOT_SUFFIXES:
        raise InvalidOptionError(f"plot {path} must end in {' or '.join(PLOT_SUFFIXES)}")
    return path


def write_plot(evaluation: Evaluation, path: Path) -> None:
    """Draw the curves at IoU 0.5 into a PNG or SVG file.

    Raises:
        InvalidOptionError: the name ends in something else.
        MissingDependencyError: matplotlib, of the `evaluate` extra, is not installed.
        OutputError: the file cannot be written.
    """
    check_plot_path(path)
    check_installed(plot=True)
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    shown = _ordered(evaluation.served.metrics.classes)
    # A single category's name stands in the legend.
    columns = -(-len(_listed(shown)) // _ROWS) if len(shown) > 1 else 0
    width = _PLOT_INCHES + _COLUMN_INCHES * columns
    # Text of a SVG stays text: it can be searched, and the file is small.
    with rc_context({"font.family": "sans-serif", "svg.fonttype": "none", "svg.hashsalt": "sightline"}):
        figure: Any = Figure(figsize=(width, _HEIGHT_INCHES), facecolor="white")
        bottom, height = _MARGIN_INCHES / _HEIGHT_INCHES, 1 - 2 * _MARGIN_INCHES / _HEIGHT_INCHES
        curves = figure.add_axes((_MARGIN_INCHES / width, bottom, (_PLOT_INCHES - 0.9) / width, height))
        _draw_curves(curves, evaluation, shown)
        if columns:
            names = figure.add_axes(((_PLOT_INCHES - 0.05) / width, bottom, _COLUMN_INCHES * columns / width, height))
            _draw_names(names, shown, columns)
        try:
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)
        except OSError as error:
            raise OutputError(f"cannot write the plot {path}: {reason_of(error)}") from error


def _ordered(classes: Sequence[ClassMetrics]) -> list[ClassMetrics]:
    return sorted(classes, key=lambda each: (-each.ap_50, each.name))


def _colour(each: ClassMetrics) -> Any:
    """By AP50, so that the list reads as the scale of the curves."""
    from matplotlib import colormaps

    return colormaps[_COLOURS](0.08 + 0.92 * each.ap_50)


def _draw_curves(axes: Axes, evaluation: Evaluation, shown: Sequence[ClassMetrics]) -> None:
    served, reference = evaluation.served.metrics, evaluation.reference
    many = len(shown) > 12
    if len(shown) > 1:
        for each in reversed(shown):
            axes.plot(RECALLS, each.curve_50, color=_colour(each), linewidth=0.8 if many else 1.3, alpha=0.6)
    whose = f"{_short(shown[0].name)}: AP50" if len(shown) == 1 else f"mean of {len(shown)}: mAP50"
    label = f"{whose} {_points(served.ap_50)}"
    axes.plot(RECALLS, served.curve_50(), color=_INK, linewidth=3.2, label=label, solid_capstyle="round")
    if reference is not None:
        theirs = f"{reference.description}: mAP50 {_points(reference.metrics.ap_50)}"
        axes.plot(
            RECALLS, reference.metrics.curve_50(), color="#e4572e", linewidth=1.6, linestyle=(0, (4, 3)), label=theirs
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision (IoU 0.5)")
    over = f"{served.images:,} images, {served.objects:,} objects"
    title = f"{evaluation.model}: mAP50-95 {_points(served.ap_50_95)} over {over}"
    axes.set_title(title, loc="left", fontsize=11, color=_INK, pad=26)
    _dress(axes)


def _dress(axes: Axes) -> None:
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_yticks(np.linspace(0, 1, 6))
    axes.grid(color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_QUIET)
    axes.tick_params(colors=_QUIET, labelcolor=_INK, labelsize=9)
    # Above the plot, where no curve is.
    axes.legend(loc="lower left", bbox_to_anchor=(-0.01, 0.985), ncols=2, frameon=False, fontsize=9, columnspacing=1.5)


def _points(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _listed(shown: Sequence[ClassMetrics]) -> list[ClassMetrics | None]:
    """The categories that the list names; None stands for those in between that it has no room for."""
    if len(shown) <= _MOST_NAMES:
        return list(shown)
    half = _MOST_NAMES // 2
    return [*shown[: half - 1], None, *shown[-half:]]


def _draw_names(axes: Axes, shown: Sequence[ClassMetrics], columns: int) -> None:
    axes.set(xlim=(0, columns), ylim=(_ROWS + 0.5, -1.2))
    axes.axis("off")
    axes.text(0.02, -0.9, "AP50 of each category", fontsize=8.5, color=_QUIET, va="center")
    for place, each in enumerate(_listed(shown)):
        column, row = divmod(place, _ROWS)
        if each is None:
            text = f"… {len(shown) - _MOST_NAMES + 1} more"
            axes.text(column + 0.02, row + 0.3, text, fontsize=7.5, color=_QUIET, va="center")
            continue
        axes.plot([column + 0.02, column + 0.08], [row + 0.3] * 2, color=_colour(each), linewidth=3.5)
        axes.text(column + 0.29, row + 0.3, _points(each.ap_50), fontsize=7.5, color=_INK, va="center", ha="right")
        axes.text(column + 0.32, row + 0.3, _short(each.name), fontsize=7.5, color=_INK, va="center")


def _short(name: str) -> str:
    text = name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
    return text.replace("$", r"\$")
