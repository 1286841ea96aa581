"""Figures of a run for people; the terminal and the page say the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline_bench.measure.results import Figure, Results
from sightline_bench.pages import units
from sightline_bench.pages.document import commit_words

_VERDICTS = {True: "reached", False: "missed", None: ""}


def value(figure: Figure) -> str:
    """Its median."""
    return "not measured" if figure.ratio is None else f"{_short(figure.ratio.median)}{_unit(figure)}"


def spread(figure: Figure) -> str:
    """The lowest and highest round."""
    return "" if figure.ratio is None else f"{_short(figure.ratio.low)} - {_short(figure.ratio.high)}"


def target(figure: Figure) -> str:
    """What to reach."""
    if figure.target is None:
        return ""
    return f"{'≥' if figure.better == 'higher' else '≤'} {figure.target:g}{_unit(figure)}"


def verdict(figure: Figure) -> str:
    """Whether it was reached; empty where that cannot be said."""
    return _VERDICTS[figure.reached]


def about(figure: Figure) -> str:
    """Under which setting it holds and what else to know."""
    return "; ".join(filter(None, [figure.setting, figure.note]))


def summary(results: Results) -> str:
    """Two lines: how many figures were reached, missed and not measured; what kind of run it was, and of what."""
    figures, environment = results.figures.values(), results.environment
    reached = [each.reached for each in figures]
    lacking = sum(each.ratio is None for each in figures)
    counted = [f"{reached.count(True)} of {len(reached)} figures reached"]
    counted += [f"{reached.count(False)} missed"] * (False in reached) + [f"{lacking} not measured"] * bool(lacking)
    cut = "" if environment.get("complete", True) else ", cut off"
    run = f"{extent(environment)}{cut}, {units.duration(environment['seconds'])} in all"
    return f"{', '.join(counted)}\n{run}, commit {commit_words(environment)}"


def extent(environment: Mapping[str, Any]) -> str:
    """What kind of run it was; measurements that know no quick runs do not tell."""
    rounds = f", {environment['rounds']} rounds" if "rounds" in environment else ""
    return f"{'a quick' if environment.get('quick') else 'a full'} run{rounds}"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def _unit(figure: Figure) -> str:
    return "" if figure.unit == "x" else f" {figure.unit}"
