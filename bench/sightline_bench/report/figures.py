"""Every figure with its spread, beside what is to be reached."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from sightline_bench.measure.results import Figure, Results
from sightline_bench.pages import document
from sightline_bench.report import wording

_MOST = 2.0
"""Times the target at the right end of a bar, so that all marks stand in the middle."""
_CLASSES = {True: "reached", False: "missed", None: "lacking"}


def section(results: Results) -> Iterator[str]:
    """All of them, in the order of the file."""
    yield "<h2>Figures</h2>"
    if not results.figures:
        yield document.paragraph("None was asked for.", kind="quiet")
        return
    yield document.paragraph(
        "A bar is the median over the rounds, the line in it the lowest to the highest round, the mark what is to be "
        "reached: each bar is drawn against its own mark, and ends at twice of it.",
        kind="quiet",
    )
    yield "<div class=figures>"
    yield from (_row(key, figure) for key, figure in results.figures.items())
    yield "</div>"


def _row(key: str, figure: Figure) -> str:
    kind, verdict = _CLASSES[figure.reached], wording.verdict(figure)
    spread = f"<span>{escape(wording.spread(figure))}</span>" if figure.ratio else ""
    word = f"<span class=verdict>{verdict}</span>" if verdict else ""
    return (
        f"<div class={kind}><div><b>{escape(figure.title)}</b><br><code>{escape(key)}</code></div>"
        f"{_bar(figure)}"
        f"<div class=value><b>{escape(wording.value(figure))}</b> {spread}<br>"
        f"<span>to reach {escape(wording.target(figure) or 'nothing')}</span> {word}</div>"
        f"<p>{escape(wording.about(figure))}</p></div>\n"
    )


def _bar(figure: Figure) -> str:
    """A bar in HTML, which is as wide as there is room."""
    if not figure.target:
        return "<div></div>"
    mark = f'<u style="left:{100 / _MOST:g}%"></u>'
    if figure.ratio is None:
        return f"<div class=bar>{mark}</div>"
    median, low, high = (
        100 * min(1.0, each / figure.target / _MOST)
        for each in (figure.ratio.median, figure.ratio.low, figure.ratio.high)
    )
    beyond = " beyond" if figure.ratio.median > _MOST * figure.target else ""
    fill = f'<i class="fill{beyond}" style="width:{median:.2f}%"></i>'
    spread = f'<s style="left:{low:.2f}%;width:{high - low:.2f}%"></s>' if low < 100 else ""
    return f"<div class=bar>{fill}{spread}{mark}</div>"
