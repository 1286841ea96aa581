"""Which models the table is about."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from sightline_export.options import NmsKind

Weights = Literal["official", "official, quantised by others", "trained here", "random"]
Sample = Literal["coco", "drawn", "learnt"]
"""The photos of COCO with their annotations; the bundled drawn pictures; those that a network was trained on here."""

_RANDOM_SIDE = 320
"""Side in pixels that networks with random weights are exported for: it changes no operator of theirs."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model of the table.

    Attributes:
        name: unique, and what the detector is called.
        family: heading of its rows.
        source: what `sightline export` is given; a path is below the folder of test data.
        weights: where they come from.
        image_size: side of the input in pixels; None takes the model's own.
        nms: see `ExportOptions`.
        detector_family: what `--family` is given; None lets the file tell.
        sample: what it is judged on; with annotated photos its mAP is measured too.
    """

    name: str
    family: str
    source: str
    weights: Weights
    image_size: int | None = None
    nms: NmsKind = "operator"
    detector_family: str | None = None
    sample: Sample = "drawn"


def rows() -> list[Row]:
    """All rows, in the table's order."""
    return [
        *_with_real_weights(),
        *_original_anchor_heads(),
        *_ultralytics(),
        *_torchvision(),
    ]


def _with_real_weights() -> Iterator[Row]:
    yield Row(
        name="yolov5n",
        family="YOLOv5, original",
        source="weights/yolov5n.pt",
        weights="official",
        sample="coco",
    )
    yield Row(name="yolov8n", family="YOLOv8", source="weights/yolov8n.pt", weights="official", sample="coco")
    quantised = {"yolov8n_int8": "yolov8n_int8_qdq_opset11", "yolo26n_int8": "yolo26n_int8_dynamic_e2e"}
    for name, file in quantised.items():
        yield Row(
            name=name,
            family="ONNX of others",
            source=f"onnx/{file}.onnx",
            weights="official, quantised by others",
            sample="coco",
        )


def _original_anchor_heads() -> Iterator[Row]:
    for size in "nsmlx":
        yield _random(f"original_yolov5{size}", "YOLOv5, original", f"original_yolov5{size}.random")
    for size in "nsmlx":
        yield _random(f"original_yolov5{size}6", "YOLOv5-P6, original", f"original_yolov5{size}6.random")
    for variant in ("", "-spp", "-tiny"):
        name = f"original_yolov3{variant.replace('-', '_')}"
        yield _random(name, "YOLOv3, original", f"original_yolov3{variant}.random")


def _ultralytics() -> Iterator[Row]:
    for variant in ("", "-spp", "-tiny"):
        yield _random(f"yolov3{variant.replace('-', '_')}u", "YOLOv3u", f"yolov3{variant}.yaml")
    for family, pattern, sizes in (
        ("YOLOv5u", "yolov5{}", "nsmlx"),
        ("YOLOv5u-P6", "yolov5{}-p6", "nsmlx"),
        ("YOLOv6", "yolov6{}", "nsmlx"),
        ("YOLOv8", "yolov8{}", "nsmlx"),
        ("YOLOv8-P2", "yolov8{}-p2", "nsmlx"),
        ("YOLOv8-P6", "yolov8{}-p6", "nsmlx"),
        ("YOLOv9", "yolov9{}", "tsmce"),
        ("YOLOv10", "yolov10{}", "nsmblx"),
        ("YOLO11", "yolo11{}", "nsmlx"),
        ("YOLO12", "yolo12{}", "nsmlx"),
        ("YOLO26", "yolo26{}", "nsmlx"),
        ("YOLO26-P2", "yolo26{}-p2", "nsmlx"),
        ("YOLO26-P6", "yolo26{}-p6", "nsmlx"),
    ):
        yield from _sizes(family, pattern, sizes)
    for network in ("yolov10n", "yolo26n"):
        yield _random(f"{network}_end_to_end", "NMS-free branch", f"{network}.yaml", nms="none")
    for variant in ("l", "x", "resnet50", "resnet101"):
        yield _random(f"rtdetr_{variant}", "RT-DETR", f"rtdetr-{variant}.yaml")


def _sizes(family: str, pattern: str, sizes: Sequence[str]) -> Iterator[Row]:
    for size in sizes:
        network = pattern.format(size)
        yield _random(f"{network.replace('-', '_')}_random", family, f"{network}.yaml")


def _torchvision() -> Iterator[Row]:
    yield Row(
        name="detecto",
        family="Detecto",
        source="Model.save",
        weights="trained here",
        detector_family="detecto",
        sample="learnt",
    )
    for network in (
        "fasterrcnn_resnet50_fpn",
        "fasterrcnn_mobilenet_v3_large_fpn",
        "fasterrcnn_mobilenet_v3_large_320_fpn",
        "retinanet_resnet50_fpn",
        "ssdlite320_mobilenet_v3_large",
    ):
        yield _random(network, "torchvision", f"{network}.random")


def _random(name: str, family: str, source: str, *, nms: NmsKind = "operator") -> Row:
    return Row(name=name, family=family, source=source, weights="random", image_size=_RANDOM_SIDE, nms=nms)
