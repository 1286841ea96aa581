"""`sightline export`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sightline import contract
from sightline.cli._export_report import as_json, print_summary
from sightline.cli._files import check_place, write_json
from sightline.cli._machine import EngineMachine
from sightline.cli._repository import repository_option
from sightline.errors import MissingDependencyError
from sightline.parity import PRECISION_DEMANDS
from sightline_export.families import FAMILIES
from sightline_export.options import ExportOptions, check_calibration
from sightline_export.source_file import check_source

if TYPE_CHECKING:
    from sightline.cli._chain import EmbeddedChain
    from sightline_export.exporter import ExportReport

_NAME_WIDTH = max(map(len, FAMILIES)) + 2
_EPILOG = """\b
Examples:
  sightline export yolov8n.pt
  sightline export best.pt --name traffic --imgsz 1280 --precision bf16
  sightline export detector.onnx --classes alien,bat,witch
  sightline export yolov8n.pt --square --name yolov8n_square
  sightline export yolo11n.yaml            (random weights, to try things out)
  sightline export yolox_s.onnx --family yolox
  sightline export model.pth --family detecto --classes alien,bat,witch
  sightline export best.pt --sample validation/images --json export.json
  sightline export best.pt --precision int8 --calibration train/images --sample validation/images
  sightline export best.pt --precision auto --calibration train/images --sample validation/images

\b
Families:
""" + "\n".join(f"  {family.name:<{_NAME_WIDTH}}{family.summary}" for family in FAMILIES.values())


@click.command(epilog=_EPILOG)
@click.argument("source", type=click.Path(path_type=Path))
@repository_option("Triton's folder of models.")
@click.option("--name", help="Name of the served model; without it, one is made of the file's name.")
@click.option(
    "--precision",
    type=click.Choice([*contract.EXPORT_PRECISIONS, contract.AUTO_PRECISION]),
    default=contract.EXPORT_PRECISIONS[0],
    show_default=True,
    help="Arithmetic of the network: bf16 for CPUs that have it, fp16 for GPUs, int8 for CPUs, with --calibration; "
    "auto measures them here and takes the fastest that passes the gate.",
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of some hundred pictures that int8 is made for: like those that it will see, and other ones than it "
    "is judged on.",
)
@click.option("--imgsz", type=int, help="Side of the network's input, in pixels; without it, the model's own.")
@click.option(
    "--rect/--square",
    default=None,
    help="Have the network look at the rectangle around the picture, in multiples of its stride, or at the whole "
    "square: more work for every picture that is not square. Without either, rectangles where network and file allow "
    "it, as Ultralytics' predict does, but squares for fp16; what it became is told.",
)
@click.option(
    "--iou",
    type=float,
    default=contract.DEFAULT_IOU_THRESHOLD,
    show_default=True,
    help="Overlap above which the weaker of two boxes of one class is dropped.",
)
@click.option(
    "--max-det",
    type=int,
    default=contract.DEFAULT_MAX_DETECTIONS,
    show_default=True,
    help="Detections per image, at the most.",
)
@click.option(
    "--multi-label",
    is_flag=True,
    help="Give every class of a box that is above the threshold, as published tables are made; for `evaluate`.",
)
@click.option("--classes", help="Names of the classes, separated by commas; without it, the model's own.")
@click.option(
    "--nms",
    type=click.Choice(["operator", "static", "none"]),
    help="operator for CPUs, static for GPUs; without it, static for fp16, else operator; none takes the NMS-free head "
    "of v10 and 26.",
)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    metavar="NAME",
    help="Sort of network, where the file alone does not tell; see the list below.",
)
@click.option(
    "--sample",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder of pictures to compare on, with what the detector was trained for; without it, the pictures that come "
    "with Sightline.",
)
@click.option(
    "--min-match",
    type=click.FloatRange(0, 1),
    help="Share of the source's detections that the served chain must give too; without it, "
    + ", ".join(f"{demand.share} for {precision}" for precision, demand in PRECISION_DEMANDS.items())
    + ".",
)
@click.option("--no-gate", is_flag=True, help="Install it without comparing, marked as unverified.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the report there too."
)
@click.option(
    "--max-pixels",
    type=int,
    help="Largest picture that is decoded, width x height, by all detectors of that input size; without it, what "
    f"stands in the repository, else {contract.DEFAULT_MAX_PIXELS}.",
)
def command(source: Path, repository: Path, name: str | None, **choices: Any) -> None:
    """Turn SOURCE into a served model.

    SOURCE is a checkpoint of Ultralytics (.pt: YOLO v3u, v5u, v6, v8, v9, v10, 11, 12, 26, RT-DETR) or of the original
    YOLOv5 and YOLOv3 (.pt), weights of torchvision's or Detecto's detectors (.pth), an ONNX file of a detector (.onnx);
    or, with random weights, the name of an architecture (yolo11n.yaml, original_yolov5s.random,
    fasterrcnn_resnet50_fpn.random).

    Before it is installed, the model is served by an embedded Triton and must find in sample pictures what its source
    finds in its own framework. When anything fails, a model that stood there before stays as it was.
    """
    # What can be refused at once is refused before anything heavy is imported.
    options = _options(choices)
    check_calibration(choices["precision"], choices["calibration"])
    check_source(source, family=options.family)
    if name is not None:
        contract.check_model_name(name)
    if choices["json_file"] is not None:
        check_place(choices["json_file"])
    chain = None if choices["no_gate"] else _embedded_chain()
    machine = EngineMachine.here() if choices["precision"] == contract.AUTO_PRECISION else None
    export = _import_export()
    started = time.monotonic()
    report = export(
        source,
        repository=repository,
        chain=chain,
        machine=machine,
        calibration=choices["calibration"],
        sample=choices["sample"],
        min_match=choices["min_match"],
        name=name,
        options=options,
        progress=click.echo,
    )
    print_summary(report, repository, named=name is not None)
    if choices["json_file"] is not None:
        content = as_json(report, seconds=time.monotonic() - started)
        write_json(choices["json_file"], content)


def _options(choices: Mapping[str, Any]) -> ExportOptions:
    classes = choices["classes"]
    return ExportOptions(
        precision=choices["precision"] if choices["precision"] != contract.AUTO_PRECISION else "fp32",
        image_size=choices["imgsz"],
        rect=choices["rect"],
        iou_threshold=choices["iou"],
        max_detections=choices["max_det"],
        nms=choices["nms"],
        classes=tuple(part.strip() for part in classes.split(",")) if classes is not None else None,
        multi_label=choices["multi_label"],
        family=choices["family"],
        max_pixels=choices["max_pixels"],
    )


def _import_export() -> Callable[..., ExportReport]:
    try:
        from sightline_export.exporter import export
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline export` needs the export extra ({error}): `make install` in a checkout"
        ) from error
    return export


def _embedded_chain() -> EmbeddedChain:
    from sightline.cli._chain import EmbeddedChain

    try:
        return EmbeddedChain()
    except MissingDependencyError as error:
        raise MissingDependencyError(
            f"the gate serves the model before it is installed, and this machine cannot: {error}. Export it on one "
            "that can, or with --no-gate, which marks it as unverified"
        ) from error
