"""`sightline detect`: find objects in pictures through a running server."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline.annotate import DEFAULT_JPEG_QUALITY
from sightline.cli._detector import only_model, with_served
from sightline.cli._outcome import Failures, has_failed, show_left_out, show_summary
from sightline.cli._server_options import batch_size_option, server_options, timeout_option
from sightline.cli._signals import EXIT_INTERRUPTED
from sightline.contract import DEFAULT_MAX_PIXELS, DEFAULT_SCORE_THRESHOLD
from sightline.errors import InvalidOptionError, ModelNotFoundError
from sightline.tiling import DEFAULT_OVERLAP, LARGEST_OVERLAP, Tiling

if TYPE_CHECKING:
    from sightline.cli._server_options import Server
    from sightline.client import Client, ClientOptions
    from sightline.job import JobReport
    from sightline.sources import Sources
    from sightline.writers import Writer

FORMATS = ("jsonl", "coco", "yolo", "annotated")
IN_ONE_FILE = ("jsonl",)
"""Formats that hold what all members of a group found; of the others each member has its own files."""
EXIT_FAILED = 1

_EPILOG = """\b
Examples:
  sightline detect photos/ --model yolov8n --output results/
  sightline detect 'photos/**/*.jpg' --format jsonl,annotated --confidence 0.4
  sightline detect a.jpg b.png --classes person,car --url 10.0.0.5:8001
  sightline detect photos/ --model yolov8n --url gpu.example.com:8443 --tls --token-file token
  sightline detect photos/ --format coco --annotations instances.json
  sightline detect aerial/ --model yolov8n_1280 --tile 1280 --overlap 0.2
  find . -name '*.jpg' -print0 | sightline detect - --null
  sightline detect photos/ --model fleet         (a group: several detectors, one decode)
  jq -r 'select(.detections | any(.class_name == "dog")) | .source' results/results.jsonl
  jq -r 'select(.models.yolov8n | any(.class_name == "dog")) | .source' results/results.jsonl

\b
What is written into the output folder (files of the same name are replaced, others stay):
  jsonl      results.jsonl: one object a line, boxes in pixels of the upright picture
  coco       coco_results.json for pycocotools; without --annotations also coco_images.json
  yolo       labels/NAME.txt and classes.txt
  annotated  annotated/NAME.jpg
  always     errors.jsonl: every image that failed, and why; empty when none did
Of a group, a line of results.jsonl has the detections of each member by its name, and the other formats lie in a folder
for each member: yolov8n/labels/NAME.txt.

Exit status: 0 when every image is done, 1 when any failed, 2 for wrong usage, 130 after Ctrl-C, 143 after SIGTERM;
what is done by then is written.
"""


def _parse_formats(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    formats = tuple(dict.fromkeys(part.strip() for part in value.split(",")))
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise click.BadParameter(f"{', '.join(map(repr, unknown))} is not one of {', '.join(FORMATS)}")
    return formats


@click.command(epilog=_EPILOG)
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--model", help="The detector, or the group; may be left out where the server serves only one.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path("results"),
    show_default=True,
    help="Folder that the results go to.",
)
@server_options
@click.option(
    "--confidence",
    type=click.FloatRange(0, 1),
    default=DEFAULT_SCORE_THRESHOLD,
    show_default=True,
    help="Lowest score of a detection.",
)
@click.option("--classes", help="Keep only these classes: names separated by commas.")
@batch_size_option
@click.option(
    "--format",
    "formats",
    default=FORMATS[0],
    show_default=True,
    callback=_parse_formats,
    help=f"What to write, separated by commas: {', '.join(FORMATS)}.",
)
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="COCO annotations that give coco results their image and category ids.",
)
@click.option("--yolo-scores", is_flag=True, help="Add the score to each line of yolo labels.")
@click.option(
    "--jpeg-quality",
    type=click.IntRange(1, 100),
    default=DEFAULT_JPEG_QUALITY,
    show_default=True,
    help="Quality of annotated pictures.",
)
@click.option(
    "--max-pixels",
    type=click.IntRange(1),
    default=DEFAULT_MAX_PIXELS,
    show_default=True,
    help="Largest picture that is sent, width x height.",
)
@click.option(
    "--tile",
    type=int,
    metavar="PIXELS",
    help="Look at larger pictures in square tiles of this side, and once as a whole: finds small objects. Best the "
    "model's own input size.",
)
@click.option(
    "--overlap",
    type=float,
    metavar="FRACTION",
    help=f"Part of its side that a tile shares with the next, 0 to {LARGEST_OVERLAP}; {DEFAULT_OVERLAP} by default.",
)
@click.option("--tiles-only", is_flag=True, help="With --tile: do not look at the whole picture too.")
@timeout_option
@click.option("-0", "--null", is_flag=True, help="Paths on standard input end with NUL bytes instead of lines.")
def command(images: tuple[str, ...], server: Server, **choices: Any) -> None:
    """Find objects in IMAGES through a running server.

    IMAGES are files, folders (with all below them; pictures are known by their endings), patterns in quotes (** stands
    for any folders), or - for paths on standard input. One that cannot be found, read or decoded is reported in
    errors.jsonl, and the others go on.
    """
    from sightline.client import Client, ClientOptions

    try:
        options = ClientOptions(
            score_threshold=choices["confidence"],
            timeout_seconds=choices["timeout"],
            max_pixels=choices["max_pixels"],
            tiling=_tiling(choices),
            access=server.access,
        )
        _check_formats(choices)
        model = choices["model"] or only_model(server)
        with Client(server.url, model=model, options=options) as client:
            classes = _check_classes(client, server, choices["classes"])
            _check_tiling(client, options)
            report = _run(client, images, classes, choices)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    raise SystemExit(EXIT_INTERRUPTED if report.interrupted else EXIT_FAILED if has_failed(report) else 0)


def _tiling(choices: dict[str, Any]) -> Tiling | None:
    if choices["tile"] is not None:
        overlap = DEFAULT_OVERLAP if choices["overlap"] is None else choices["overlap"]
        return Tiling(tile=choices["tile"], overlap=overlap, whole=not choices["tiles_only"])
    for option, given in (("--overlap", choices["overlap"] is not None), ("--tiles-only", choices["tiles_only"])):
        if given:
            raise InvalidOptionError(f"{option} belongs to --tile, which is not given")
    return None


def _check_tiling(client: Client, options: ClientOptions) -> None:
    """Refuse tiles that do not match the network, before anything is read; tell where they are shrunk."""
    if options.tiling is None:
        return
    preprocessing = client.info.preprocessing
    options.tiling.check_fits(preprocessing)
    side = preprocessing.image_size
    if side is not None and options.tiling.tile > side:
        click.echo(
            f"tiles of {options.tiling.tile} pixels are shrunk to the {side} that the model takes; the smallest "
            f"objects are found with --tile {side}, or a model exported with a larger --imgsz",
            err=True,
        )


def _check_formats(choices: dict[str, Any]) -> None:
    """Refuse options that would change nothing."""
    for option, given, format_ in (
        ("--annotations", choices["annotations"], "coco"),
        ("--yolo-scores", choices["yolo_scores"], "yolo"),
    ):
        if given and format_ not in choices["formats"]:
            raise InvalidOptionError(f"{option} belongs to --format {format_}, which is not asked for")


def _check_classes(client: Client, server: Server, wanted: str | None) -> list[str]:
    """The classes to keep, none for all; asks the server for the known ones, and so whether it is there.

    Raises:
        InvalidOptionError: no such model or class; the message lists what there is.
        ServerError: the server does not answer.
    """
    from sightline.detections import class_ids_of

    try:
        members = client.members
    except ModelNotFoundError as error:
        raise InvalidOptionError(with_served(error, server)) from error
    if wanted is None:
        return []
    known = list(dict.fromkeys(name for info in members.values() for name in info.class_names))
    names = [wanted] if wanted in known else [name.strip() for name in wanted.split(",") if name.strip()]
    if not names:
        raise InvalidOptionError("--classes names none; give names separated by commas, such as person,car")
    class_ids_of(names, known)
    return names


def _run(client: Client, images: tuple[str, ...], classes: list[str], choices: dict[str, Any]) -> JobReport:
    from sightline import job
    from sightline.progress import RunProgress
    from sightline.sources import Sources
    from sightline.writers import CocoWriter, ErrorLog, GroupWriter, WriterPool
    from sightline.writers.annotated import ANNOTATED_FOLDER

    output: Path = choices["output"]
    members = client.members
    folders = [output, *(output / model for model in members)]
    sources = Sources(
        images,
        stdin=getattr(sys.stdin, "buffer", None),
        null_separated=choices["null"],
        exclude=[folder / ANNOTATED_FOLDER for folder in folders],  # pictures of this run, or an earlier, are no input
    )
    writers = _writers(sources, list(members), choices)
    failures = Failures()
    with RunProgress(sources) as progress:
        report = job.run(
            client.stream(sources, batch_size=choices["batch_size"]),
            pool=WriterPool(writers, errors=ErrorLog(output)),
            sources=sources,
            classes=classes,
            watchers=[progress.advance, failures.add],
        )
    failures.show(report)
    for writer in writers:
        for model, each in writer.members.items() if isinstance(writer, GroupWriter) else [("", writer)]:
            if isinstance(each, CocoWriter):
                show_left_out(each, model)
    show_summary(report, output)
    return report


def _writers(sources: Sources, models: list[str], choices: dict[str, Any]) -> list[Writer]:
    from sightline.writers import AnnotatedWriter, CocoIds, CocoWriter, GroupWriter, JsonLinesWriter, YoloWriter

    output: Path = choices["output"]
    base = sources.base()
    annotations = choices["annotations"]
    ids = None if annotations is None else CocoIds.from_annotations(annotations)
    make: dict[str, Callable[[Path], Writer]] = {
        "jsonl": JsonLinesWriter,
        "coco": lambda folder: CocoWriter(folder, ids=ids),
        "yolo": lambda folder: YoloWriter(folder, base=base, with_scores=choices["yolo_scores"]),
        "annotated": lambda folder: AnnotatedWriter(folder, base=base, jpeg_quality=choices["jpeg_quality"]),
    }
    if len(models) == 1:
        return [make[name](output) for name in choices["formats"]]
    return [
        make[name](output) if name in IN_ONE_FILE else GroupWriter(output, models, make[name])
        for name in choices["formats"]
    ]
