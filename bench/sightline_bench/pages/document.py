"""A page that stands alone: text, tables and plots in one HTML file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from sightline.errors import MissingDependencyError
from sightline.writers.files import write_whole
from sightline_bench.pages import units

_STYLE = Path(__file__).with_name("page.css")


def check_matplotlib() -> None:
    """Fail before the work, not behind it.

    Raises:
        MissingDependencyError: matplotlib, of the `evaluate` extra, is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"the page needs matplotlib, of the evaluate extra ({error}): `make install` in a checkout, or no --html"
        ) from error


def write_page(path: Path, text: str) -> None:
    """Write it, never half of it.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, text.encode())


def document(title: str, body: Iterable[str]) -> str:
    """The whole text; `body` is HTML."""
    style, inner = _STYLE.read_text(encoding="utf-8"), "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style></head>\n<body><main>\n{inner}\n"
        "</main></body></html>\n"
    )


def header(kind: str, title: str, machine: Mapping[str, Any]) -> str:
    """The page's head, with what `describe_machine` told."""
    return (
        f"<header><p class=kind>{escape(kind)}</p><h1>{escape(title)}</h1>"
        f"<p class=quiet>{escape(str(machine['cpu']))} · {machine['usable_cores']:g} cores · "
        f"{escape(', '.join(machine['features']) or 'no vector instructions named')} · "
        f"{units.size(machine['memory_bytes'])} memory · load {machine['load_average']:.1f}</p></header>"
    )


def commit_words(commit: Mapping[str, Any]) -> str:
    """What `describe_commit` told."""
    return f"{commit['commit'][:12] or 'no checkout'}{', with changes' if commit['dirty'] else ''}"


def software(machine: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """System, Python and packages."""
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine['system']}, Python {machine['python']}; {packages}"


def cards(values: Iterable[tuple[str, str]]) -> str:
    """Large figures, each with what it is."""
    inner = "".join(f"<div><b>{escape(value)}</b><span>{escape(what)}</span></div>" for value, what in values)
    return f"<section class=cards>{inner}</section>"


def figure(svg: str, caption: str) -> str:
    """A plot and what it shows."""
    return f"<figure><div class=plot>{svg}</div><figcaption>{escape(caption)}</figcaption></figure>"


def paragraph(text: str, *, kind: str = "") -> str:
    """Text, of a kind that the style knows, such as `warning`."""
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>"


def table(heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already; a head that begins with `>` aligns its column to the right."""
    heads = list(heads)
    sides = [' class="n"' if head.startswith(">") else "" for head in heads]
    top = "".join(f"<th{side}>{escape(head.removeprefix('>'))}</th>" for head, side in zip(heads, sides, strict=True))
    lines = "".join(
        "<tr>" + "".join(f"<td{side}>{cell}</td>" for cell, side in zip(row, sides, strict=True)) + "</tr>\n"
        for row in rows
    )
    return f"<div class=scroll><table><thead><tr>{top}</tr></thead><tbody>\n{lines}</tbody></table></div>"
