"""`sightline evaluate`: COCO's average precision through a running server."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sightline.cli._detector import only_model, with_served
from sightline.cli._files import check_place, write_json
from sightline.cli._server_options import batch_size_option, server_options, timeout_option
from sightline.errors import InvalidOptionError, ModelNotFoundError

if TYPE_CHECKING:
    from sightline.cli._against import SourceFramework
    from sightline.cli._server_options import Server
    from sightline.client import Client
    from sightline.detections import Detections, Result
    from sightline.detector_info import DetectorInfo
    from sightline.evaluation import Evaluation, MeasuredDetector, Protocol, Selection

EXIT_FAILED = 1

_EPILOG = """\b
Examples:
  sightline evaluate val2017/ --model yolov8n --annotations instances_val2017.json
  sightline evaluate photos/ --model helmets --annotations truth.json --plot curves.png
  sightline evaluate val2017/ --model yolov8n --annotations instances_val2017.json --against yolov8n.pt --json map.json
  jq '.difference_points.ap_50_95' map.json

\b
What is measured: the served detector's boxes from a score of 0.001 on, with the preprocessing, suppression and number
of detections that it was exported with; one class for each box, or every class where it was exported with
--multi-label. The means are over the categories that have objects in the given images.

Exit status: 0 when every image was done, 1 when any failed, 2 for wrong usage.
"""


@click.command(epilog=_EPILOG)
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--model", help="The detector; may be left out where the server serves only one.")
@click.option(
    "--annotations",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="COCO annotations of the images.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="CHECKPOINT",
    help="Evaluate this file in its own framework as well, under the same protocol, and tell the differences.",
)
@click.option("--family", metavar="NAME", help="Sort of network of --against, as for `sightline export`.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write everything into this file."
)
@click.option(
    "--plot", type=click.Path(path_type=Path, dir_okay=False), help="Draw precision against recall: a .png or .svg."
)
@server_options
@click.option(
    "--known-categories-only",
    is_flag=True,
    help="Leave categories out that the detector does not know; without it, they count as never found.",
)
@batch_size_option
@timeout_option
def command(images: tuple[str, ...], server: Server, **choices: Any) -> None:
    """Measure how good a served detector is on annotated IMAGES.

    IMAGES are files, folders (with all below them), or patterns in quotes; they belong to the images of the annotations
    by their file names. Those that the annotations lack are left out, and so are annotated images that are not given;
    both are told. An image that fails counts as one in which nothing was found.
    """
    from sightline.client import Client, ClientOptions
    from sightline.evaluation import as_text

    try:
        _check_outputs(choices)
        options = ClientOptions(timeout_seconds=choices["timeout"], access=server.access)
        model = choices["model"] or only_model(server)
        with Client(server.url, model=model, options=options) as client:
            evaluation = _evaluate(client, server, model, images, choices)
    except InvalidOptionError as error:
        raise click.UsageError(str(error)) from error
    click.echo("\n".join(as_text(evaluation)))
    _write(evaluation, choices)
    raise SystemExit(EXIT_FAILED if evaluation.failed else 0)


def _check_outputs(choices: dict[str, Any]) -> None:
    """Refuse before the work what would fail behind it."""
    from sightline.evaluation import check_installed, check_plot_path

    plot = choices["plot"]
    check_installed(plot=plot is not None)
    if plot is not None:
        check_plot_path(plot)
    for path in (plot, choices["json_file"]):
        if path is not None:
            check_place(path)
    if choices["family"] and not choices["against"]:
        raise InvalidOptionError("--family belongs to --against, which is not given")


class _Found(NamedTuple):
    """What came of the selected images: detections by index, errors by path."""

    detections: dict[int, Detections]
    failed: dict[str, str]


def _evaluate(
    client: Client, server: Server, model: str, images: tuple[str, ...], choices: dict[str, Any]
) -> Evaluation:
    from sightline.evaluation import Evaluation, Protocol, match_categories, read_annotations, select
    from sightline.sources import Sources

    truth = read_annotations(choices["annotations"])
    info = _info(client, server)
    match_categories(info.class_names, truth.categories)  # refused before anything is sent
    sources = Sources(images, stdin=getattr(sys.stdin, "buffer", None))
    selection = select(sources, truth)
    protocol = Protocol.of(info, known_categories_only=choices["known_categories_only"])
    against = _against(choices, info)
    if against is not None:
        match_categories(against.class_names, truth.categories)
    results = client.stream(
        list(selection.image_of_path), batch_size=choices["batch_size"], score_threshold=protocol.score_threshold
    )
    served = _collect(results, selection)
    reference = None
    if against is not None:
        click.echo(f"running {against.description}", err=True)
        stream = against.stream(selection.image_of_path, score_threshold=protocol.score_threshold)
        reference = _measured(
            against.description, against.class_names, _collect(stream, selection), selection, protocol
        )
    return Evaluation(
        model=model,
        info=info,
        protocol=protocol,
        selection=selection,
        served=_measured(_engine(server, model, info), info.class_names, served, selection, protocol),
        reference=reference,
        other_sizes=_other_sizes(served, selection),
        unreadable={str(problem.source): str(problem.error) for problem in sources.problems},
        versions={package: version(package) for package in ("sightline", "faster-coco-eval", "numpy")},
    )


def _info(client: Client, server: Server) -> DetectorInfo:
    try:
        return client.info
    except ModelNotFoundError as error:
        raise InvalidOptionError(with_served(error, server)) from error


def _against(choices: dict[str, Any], info: DetectorInfo) -> SourceFramework | None:
    if choices["against"] is None:
        return None
    from sightline.cli._against import SourceFramework

    click.echo(f"reading {choices['against']}", err=True)
    return SourceFramework(choices["against"], info, family=choices["family"])


def _collect(results: Iterable[Result], selection: Selection) -> _Found:
    from sightline.job import Row
    from sightline.progress import RunProgress
    from sightline.sources import Sources

    found = _Found({}, {})
    with RunProgress(Sources(tuple(selection.image_of_path))) as progress:
        for result in results:
            path = str(result.source)
            if result.detections is not None:
                found.detections[selection.image_of_path[path]] = result.detections
            else:
                found.failed[path] = str(result.error)
            progress.advance(Row.of(result))
    return found


def _measured(
    description: str, class_names: tuple[str, ...], found: _Found, selection: Selection, protocol: Protocol
) -> MeasuredDetector:
    from sightline.evaluation import MeasuredDetector, match_categories, measure

    match = match_categories(class_names, selection.truth.categories)
    metrics = measure(selection.truth, found.detections, match, known_only=protocol.known_categories_only)
    return MeasuredDetector(description=description, match=match, metrics=metrics, failed=found.failed)


def _engine(server: Server, model: str, info: DetectorInfo) -> str:
    """What runs the network, as far as the server tells."""
    from sightline.errors import ServerError

    try:
        served = {each.name: each for each in server.served()}
    except ServerError:  # some servers keep their list to themselves
        return info.precision
    if model not in served:
        return info.precision
    engine = served[model].engine
    if engine is None:
        return f"{info.precision}, Triton's {served[model].backend} backend"
    return f"{engine.precision}, {engine.engine} {engine.version}"


def _other_sizes(found: _Found, selection: Selection) -> dict[str, tuple[tuple[int, int], tuple[int, int]]]:
    sizes = {}
    for path, image in selection.image_of_path.items():
        told = selection.truth.images[image].size_hw
        if told and image in found.detections and (came := found.detections[image].image_size_hw) != told:
            sizes[path] = (came, told)
    return sizes


def _write(evaluation: Evaluation, choices: dict[str, Any]) -> None:
    """The files that were asked for.

    Raises:
        OutputError: one cannot be written.
    """
    from sightline.evaluation import as_json, write_plot

    path = choices["json_file"]
    if path is not None:
        write_json(path, as_json(evaluation))
        click.echo(f"everything is in {path}")
    if choices["plot"] is not None:
        write_plot(evaluation, choices["plot"])
        click.echo(f"the plot is in {choices['plot']}")
