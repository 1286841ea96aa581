"""`sightline models`: what a running server serves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._server_options import server_options
from sightline.sources import printable
from sightline.verification import describe_verification

if TYPE_CHECKING:
    from sightline.cli._server_options import Server
    from sightline.served import ServedModel

_FIRST_NAMES = 8
_QUANTISED = ", of a network that is quantised to 8 bits"
_EPILOG = """\b
Examples:
  sightline models
  sightline models --url 10.0.0.5:8001
  sightline models --json | jq -r '.[] | select(.ready) | .name'
  sightline models --json | jq -r '.[] | select(.members != []) | .name'
"""


@click.command(epilog=_EPILOG)
@server_options
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(server: Server, *, as_json: bool) -> None:
    """List what a running server serves.

    For each detector: inputs, classes, input size, precision, the engine that really runs it, whether it was seen to
    find what its source finds, and where it comes from; for a group, the members and how often a picture is decoded;
    for a model that is not ready, why.
    """
    models = server.served()
    if as_json:
        click.echo(json.dumps([_as_json(model) for model in models], indent=2, ensure_ascii=False))
        return
    if not models:
        click.echo(f"{server.url} serves no model: make one with `sightline export`")
    for model in models:
        click.echo("\n".join(_lines(model)))


def _as_json(model: ServedModel) -> dict[str, Any]:
    return _with_counts(asdict(model))


def _with_counts(described: dict[str, Any]) -> dict[str, Any]:
    detector = described["detector"]
    counted = detector and {**detector, "class_count": len(detector["class_names"])}
    return {**described, "detector": counted, "members": [_with_counts(member) for member in described["members"]]}


def _lines(model: ServedModel) -> Iterator[str]:
    if not model.ready:
        yield _in_one_line(f"{model.name}: NOT READY: {model.reason}")
        return
    if not model.is_ours:
        yield _in_one_line(f"{model.name}: ready, but not a detector: {model.reason}")
        return
    kind = f", a group of {len(model.members)}" if model.members else ""
    yield _in_one_line(f"{model.name}: ready{kind}")
    for title, text in _group_facts(model) if model.members else _facts(model):
        yield f"  {title:<10} {_in_one_line(text)}"


def _group_facts(model: ServedModel) -> Iterator[tuple[str, str]]:
    yield "inputs", _inputs(model)
    yield "decodes", f"{len(model.decoders)} for each picture: {', '.join(model.decoders)}"
    for member in model.members:
        info = member.detector
        assert info is not None
        sees = f"{len(info.class_names)} classes, {info.preprocessing}, at most {info.max_detections} detections"
        yield "member", f"{member.name}: {sees}; {info.precision}; {_engine(member)}"
        yield "gate", describe_verification(info.verification)


def _facts(model: ServedModel) -> Iterator[tuple[str, str]]:
    info = model.detector
    assert info is not None
    yield "inputs", _inputs(model)
    names = info.class_names
    more = ", …" if len(names) > _FIRST_NAMES else ""
    yield "classes", f"{len(names)}: {', '.join(names[:_FIRST_NAMES])}{more}"
    labels = ", every class of a box" if info.multi_label else ""
    yield "size", f"{info.preprocessing}, at most {info.max_detections} detections{labels}"
    if info.square_because:
        yield "square", info.square_because
    yield "precision", info.precision + (_QUANTISED if info.quantised and info.precision != "int8" else "")
    yield "engine", _engine(model)
    yield "gate", describe_verification(info.verification)
    versions = ", ".join(f"{package} {version}" for package, version in info.versions.items())
    yield "source", f"{info.source or 'unknown'}{f', sha256 {info.source_sha256}' if info.source_sha256 else ''}"
    if versions:
        yield "made by", versions


def _inputs(model: ServedModel) -> str:
    inputs = ", ".join(f"{spec.name} {spec.datatype} {list(spec.dims)}" for spec in model.inputs)
    most = model.max_batch_size
    return f"{inputs}; up to {most} image{'s' * (most != 1)} in a request"


def _engine(model: ServedModel) -> str:
    return f"Triton's {model.backend} backend" if model.engine is None else str(model.engine)


def _in_one_line(text: str) -> str:
    """Names and reasons come from other people's files."""
    return printable(" ".join(text.splitlines()))
