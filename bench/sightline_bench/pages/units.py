"""Figures for people, each with three digits or so that count."""

from __future__ import annotations


def milliseconds(value: float) -> str:
    """As `12.3 ms`."""
    if value >= 100:
        return f"{value:,.0f} ms"
    return f"{value:.1f} ms" if value >= 1 else f"{value:.2f} ms"


def seconds(value: float) -> str:
    """Of a load or a run."""
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.0f} ms"


def duration(value: float) -> str:
    """Seconds as `4:07`, or `1:04:07`."""
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(value: float) -> str:
    """Bytes."""
    return f"{value / 1e9:.1f} GB" if value >= 1e9 else f"{value / 1e6:,.0f} MB"


def percent(share: float) -> str:
    """A share of 1."""
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.1f} %"


def rate(value: float) -> str:
    """Pictures a second."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
