"""`sightline export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from sightline import contract
from sightline.errors import MissingDependencyError
from sightline_export.families import FAMILIES

if TYPE_CHECKING:
    from sightline_export.exporter import ExportReport

_EPILOG = """\b
Examples:
  sightline export yolov8n.pt
  sightline export best.pt --name traffic --imgsz 1280 --precision bf16
  sightline export detector.onnx --classes alien,bat,witch
  sightline export yolo11n.yaml            (random weights, to try things out)
  sightline export yolox_s.onnx --family yolox

\b
Families:
""" + "\n".join(f"  {family.name:<15}{family.summary}" for family in FAMILIES.values())


@click.command(epilog=_EPILOG)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--repository",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("model_repository"),
    show_default=True,
    help="Triton's folder of models.",
)
@click.option("--name", help="Name of the served model; without it, one is made of the file's name.")
@click.option(
    "--precision",
    type=click.Choice(get_args(contract.Precision)),
    default=contract.PRECISIONS[0],
    show_default=True,
    help="Arithmetic that the engine is asked for; bf16 is faster where the CPU has it.",
)
@click.option("--imgsz", type=int, help="Side of the network's input, in pixels; without it, the model's own.")
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
    default="operator",
    show_default=True,
    help="operator for CPUs, static for GPUs; none takes the NMS-free head of v10 and 26.",
)
@click.option(
    "--family",
    type=click.Choice(list(FAMILIES)),
    metavar="NAME",
    help="Sort of network, where the file alone does not tell; see the list below.",
)
@click.option(
    "--max-pixels",
    type=int,
    help="Largest picture that is decoded, width x height, by all detectors of that input size; without it, what "
    f"stands in the repository, else {contract.DEFAULT_MAX_PIXELS}.",
)
def command(source: Path, repository: Path, name: str | None, **choices: Any) -> None:
    """Turn SOURCE into a served model.

    SOURCE is a checkpoint of Ultralytics (.pt: YOLO v3u, v5u, v8, v9, v10, 11, 12, 26), the name of one of its
    architectures (.yaml, with random weights), or an ONNX file of a detector (.onnx).

    The result is compared with its source before it is installed; when anything fails, a model that stood there
    before stays as it was.
    """
    try:
        from sightline_export.exporter import export
        from sightline_export.options import ExportOptions
    except ImportError as error:
        raise MissingDependencyError(
            f"`sightline export` needs the export extra ({error}): `make install` in a checkout"
        ) from error
    classes = choices["classes"]
    options = ExportOptions(
        precision=choices["precision"],
        image_size=choices["imgsz"],
        iou_threshold=choices["iou"],
        max_detections=choices["max_det"],
        nms=choices["nms"],
        classes=tuple(part.strip() for part in classes.split(",")) if classes is not None else None,
        multi_label=choices["multi_label"],
        family=choices["family"],
        max_pixels=choices["max_pixels"],
    )
    report = export(source, repository=repository, name=name, options=options, progress=click.echo)
    _print_summary(report, repository, named=name is not None)


def _print_summary(report: ExportReport, repository: Path, *, named: bool) -> None:
    info, checked = report.info, report.verification
    shown = ", ".join(info.class_names[:5]) + (", …" if len(info.class_names) > 5 else "")
    origin = "" if named else f" (named after {info.source}; --name chooses another)"
    click.secho(f"{report.name} is ready{origin}", fg="green")
    click.echo(
        f"  where      {report.installed.ensemble}\n"
        f"  classes    {len(info.class_names)}: {shown}\n"
        f"  input      {info.preprocessing}, {info.precision}, head {info.head}\n"
        f"  size       {report.installed.size_bytes / 1e6:.1f} MB\n"
        f"  checked    {checked.matched} of {checked.reference_detections} detections of the raw network "
        f"in {checked.pictures} drawn pictures\n"
        f"  serve      sightline serve --repository {repository}\n"
        f"  detect     sightline detect photos/ --model {report.name}"
    )
