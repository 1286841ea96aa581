"""`sightline group`: several detectors as one model, which decodes each picture once for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.cli._repository import repository_option
from sightline.contract import detection_outputs
from sightline.errors import InvalidOptionError
from sightline.groups import group_batch_size, group_outputs, preprocessings

if TYPE_CHECKING:
    from sightline.preprocessing import Preprocessing
    from sightline_export.groups import InstalledGroup

_EPILOG = """\b
Examples:
  sightline group fleet yolov5n yolov8n helmets
  sightline group fleet yolov8n helmets --replace      other members, under the same name
  sightline group fleet --remove                       the members stay
  sightline serve --model fleet
  sightline detect photos/ --model fleet --format jsonl,annotated

\b
Members may differ in classes, family, precision and number of detections. Those that see pictures alike (same input
size, same kind: see `sightline models`) share one decode. The others decode by themselves: a picture of one size cannot
be made from that of another without changing what the network sees, and what decodes for all detectors of one size
gives that size only. This command says where that is so; export with the same --imgsz to share, and all with --square
where one of them cannot see rectangles.

\b
A member that is exported again is taken over by its groups in the same moment. `sightline check` says what is wrong
with a group that was changed in another way.
"""


@click.command(epilog=_EPILOG)
@click.argument("name")
@click.argument("members", nargs=-1, metavar="[DETECTOR]...")
@repository_option("Triton's folder of models.")
@click.option("--replace", is_flag=True, help="Replace the group of that name.")
@click.option("--remove", is_flag=True, help="Delete the group of that name; its members stay.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
def command(name: str, members: tuple[str, ...], repository: Path, **choices: Any) -> None:
    """Make one model NAME of several DETECTORs of a model repository.

    A picture that is sent to it is decoded once and looked at by all of them side by side; every member's detections
    come back under its name. All members get the request's one score threshold. Where one fails, the picture has no
    detections of any.
    """
    from sightline_export.groups import install_group, remove_group

    try:
        if choices["remove"]:
            _check_nothing_else(members, choices)
            remove_group(repository, name)
            click.echo(f"{name} is removed; its members stay")
            return
        group = install_group(repository, name, members, replace=choices["replace"])
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    if choices["as_json"]:
        click.echo(json.dumps(_as_json(name, group), indent=2, ensure_ascii=False))
    else:
        _print_summary(name, group, repository)


def _check_nothing_else(members: tuple[str, ...], choices: dict[str, Any]) -> None:
    if members or choices["replace"] or choices["as_json"]:
        raise InvalidOptionError("--remove takes the group's name and nothing else")


def _print_summary(name: str, group: InstalledGroup, repository: Path) -> None:
    ways = len(preprocessings(group.members))
    decodes = "one decode" if ways == 1 else f"{ways} decodes"
    done = "is made anew" if group.replaced else "is ready"
    click.secho(f"{name} {done}: {len(group.members)} detectors on {decodes}", fg="green")
    for title, text in _facts(name, group, repository):
        click.echo(f"  {title:<10} {text}")
    for note in _notes(group):
        click.secho(f"note: {note}", fg="yellow", err=True)


def _facts(name: str, group: InstalledGroup, repository: Path) -> Iterator[tuple[str, str]]:
    yield "where", str(group.folder)
    for way, sharers in preprocessings(group.members).items():
        yield "decode", f"{way.model_name} for {', '.join(sharers)}"
    for member, info in group.members.items():
        size = f"{info.preprocessing}, {info.precision}, at most {info.max_detections} detections"
        yield "member", f"{member}: {len(info.class_names)} classes, {size}"
    first, *_ = group.members
    parts = ", ".join(spec.name for spec in detection_outputs(1))
    yield "outputs", f"{parts} of each, such as {first}.boxes"
    most = group_batch_size(group.members)
    yield "requests", f"up to {most} image{'s' * (most != 1)}"
    yield "serve", f"sightline serve --repository {repository} --model {name}"
    yield "detect", f"sightline detect photos/ --model {name}"


def _notes(group: InstalledGroup) -> Iterator[str]:
    """What makes the group slower than it could be, and what can be done about it."""
    ways = preprocessings(group.members)
    if len(ways) > 1:
        who = "; ".join(f"{', '.join(sharers)} by {way.model_name}" for way, sharers in ways.items())
        yield (
            f"each picture is decoded {len(ways)} times, not once, because the members see pictures in {len(ways)} "
            f"ways ({who}). {_how_to_share(list(ways))}"
        )
    sizes = {way: way.max_batch_size for way in ways}
    if min(sizes.values()) < max(sizes.values()):
        fewest = min(sizes.values())
        slow = [name for way, names in ways.items() if sizes[way] == fewest for name in names]
        yield (
            f"a request holds {fewest} image{'s' * (fewest != 1)}, not {max(sizes.values())}, because "
            f"{', '.join(slow)} take{'s' * (len(slow) == 1)} no more"
        )


def _how_to_share(ways: list[Preprocessing]) -> str:
    kinds = [way.kind for way in ways]
    if {"letterbox", "rect"} <= set(kinds):
        return (
            "Squares (letterbox) and rectangles (rect) share no decode: export those members with the same --imgsz, "
            "and all with --square, or with --rect where each of them can"
        )
    alike = sorted({kind for kind in kinds if kinds.count(kind) > 1})
    if not alike:
        return f"There is no sharing between kinds ({', '.join(kinds)}): they are what the networks were trained with"
    only = f" Members that see a {' or a '.join(alike)}" if len(set(kinds)) > 1 else " Members"
    return f"What decodes gives one size.{only} share it when they are exported with the same --imgsz"


def _as_json(name: str, group: InstalledGroup) -> dict[str, Any]:
    return {
        "name": name,
        "installed": str(group.folder),
        "replaced": group.replaced,
        "decoders": {way.model_name: list(sharers) for way, sharers in preprocessings(group.members).items()},
        "members": {
            member: {
                "class_names": list(info.class_names),
                "input": info.preprocessing.model_name,
                "precision": info.precision,
                "max_detections": info.max_detections,
            }
            for member, info in group.members.items()
        },
        "outputs": [spec.name for spec in group_outputs(group.members)],
        "max_batch_size": group_batch_size(group.members),
    }
