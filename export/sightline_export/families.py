"""The sorts of networks that can become a served detector, by the names that `--family` takes."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.errors import InvalidOptionError
from sightline.preprocessing import PreprocessingKind

from .pixels import IMAGENET, ZERO_TO_ONE, PixelFormat

ONNX_SUFFIX, CHECKPOINT_SUFFIX = ".onnx", ".pt"


@dataclass(frozen=True)
class Grid:
    """Candidates that a network has for every cell of a few grids.

    Attributes:
        strides: pixels between the cells of each grid.
        per_cell: candidates of one cell.
    """

    strides: tuple[int, ...]
    per_cell: int = 1

    def candidates(self, image_size: int) -> int | None:
        """How many there are for a square input; None where its side is no multiple of the strides."""
        if image_size % max(self.strides):
            return None
        return self.per_cell * sum((image_size // stride) ** 2 for stride in self.strides)


_USUAL, _P6, _P2, _TWO_SCALES = (8, 16, 32), (8, 16, 32, 64), (4, 8, 16, 32), (16, 32)


@dataclass(frozen=True, kw_only=True)
class Family:
    """One sort of network.

    Attributes:
        name: what `--family` calls it.
        summary: which networks it is, in one line.
        head: layout of the raw output, a name of `heads.HEADS`.
        pixels: what the network wants to see in a pixel.
        preprocessing: how a picture is brought to the network's input size.
        grids: the published networks' numbers of candidates; empty where a network chooses its number.
        chosen: fewest and most candidates that published networks chose; None where that does not tell.
        suffixes: of the files that it is read from when it is asked for.
        by_shape: whether an output's shape may stand for it; else it must be asked for.
    """

    name: str
    summary: str
    head: str
    pixels: PixelFormat = ZERO_TO_ONE
    preprocessing: PreprocessingKind = "letterbox"
    grids: tuple[Grid, ...] = ()
    chosen: tuple[int, int] | None = None
    suffixes: tuple[str, ...] = (ONNX_SUFFIX,)
    by_shape: bool = True


_THREE_ANCHORS = tuple(Grid(strides, per_cell=3) for strides in (_USUAL, _P6, _TWO_SCALES))
_WITH_OBJECTNESS = "anchors_first"
_BGR_BYTES = PixelFormat(order="bgr", divisor=1.0)
_MINUS_ONE_TO_ONE = PixelFormat(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
# Detecto normalises a picture as ImageNet, and then torchvision does once more: ((x - m) / s - m) / s.
_NORMALISED_TWICE = PixelFormat(
    mean=(0.485 + 0.485 * 0.229, 0.456 + 0.456 * 0.224, 0.406 + 0.406 * 0.225),
    std=(0.229**2, 0.224**2, 0.225**2),
)


def _torchvision(
    name: str, summary: str, *, pixels: PixelFormat = IMAGENET, preprocessing: PreprocessingKind = "resize"
) -> Family:
    return Family(
        name=name,
        summary=summary,
        head="end_to_end",
        pixels=pixels,
        preprocessing=preprocessing,
        suffixes=(".pth", ".pt"),
        by_shape=False,
    )


_FASTER_RCNN, _RETINANET = "fasterrcnn_resnet50_fpn", "retinanet_resnet50_fpn"
_LARGE_FPN, _LARGE_320_FPN = "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_mobilenet_v3_large_320_fpn"

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family(
            name="yolov8",
            summary="Ultralytics YOLOv3u, v5u, v6, v8, v9, v10, 11, 12, 26: [N, 4 + classes, A]",
            head="anchors_last",
            grids=(Grid(_USUAL), Grid(_P6), Grid(_P2), Grid(_TWO_SCALES)),
        ),
        Family(
            name="yolov5",
            summary="original YOLOv3 and YOLOv5, with objectness: [N, A, 5 + classes]",
            head=_WITH_OBJECTNESS,
            grids=_THREE_ANCHORS,
            suffixes=(ONNX_SUFFIX, CHECKPOINT_SUFFIX),
        ),
        Family(
            name="yolov6",
            summary="original YOLOv6: [N, A, 5 + classes]",
            head=_WITH_OBJECTNESS,
            grids=(Grid(_USUAL), Grid(_P6)),
        ),
        Family(
            name="yolov7",
            summary="YOLOv7, exported with --grid: [N, A, 5 + classes]",
            head=_WITH_OBJECTNESS,
            grids=_THREE_ANCHORS,
        ),
        Family(
            name="yolox",
            summary="YOLOX as its export script writes it, undecoded; BGR, 0 to 255",
            head="grid",
            pixels=_BGR_BYTES,
            grids=(Grid(_USUAL),),
        ),
        Family(
            name="yolox_decoded",
            summary="YOLOX, exported with --decode_in_inference; BGR, 0 to 255",
            head=_WITH_OBJECTNESS,
            pixels=_BGR_BYTES,
            grids=(Grid(_USUAL),),
        ),
        Family(
            name="yolox_legacy",
            summary="YOLOX 0.1.0, undecoded; RGB, normalised as ImageNet",
            head="grid",
            pixels=IMAGENET,
            grids=(Grid(_USUAL),),
        ),
        Family(
            name="end_to_end",
            summary="NMS-free YOLOv10 and YOLO26, and others that end in boxes in pixels: [N, K, 6]",
            head="end_to_end",
        ),
        Family(
            name="rtdetr",
            summary="RT-DETR and its kin, boxes as parts of the picture: [N, Q, 4 + classes]",
            head="queries",
            preprocessing="stretch",
            chosen=(100, 1000),
        ),
        # Its shape is that of `end_to_end`, whose numbers are pixels; comparing tells the two apart.
        Family(
            name="rtdetr_ranked",
            summary="RT-DETR as Ultralytics 8.4 exports it: [N, K, 6], boxes as parts of the picture",
            head="ranked_queries",
            preprocessing="stretch",
            by_shape=False,
        ),
        _torchvision("detecto", "what Detecto's Model.save writes", pixels=_NORMALISED_TWICE),
        _torchvision("detecto_mobilenet", f"the same with model_name={_LARGE_FPN!r}", pixels=_NORMALISED_TWICE),
        _torchvision("detecto_mobilenet_320", f"the same with model_name={_LARGE_320_FPN!r}", pixels=_NORMALISED_TWICE),
        _torchvision(_FASTER_RCNN, "torchvision's, trained from its COCO weights or from nothing"),
        _torchvision(f"{_FASTER_RCNN}_imagenet", "the same, trained from weights_backbone alone"),
        _torchvision(_LARGE_FPN, "torchvision's"),
        _torchvision(_LARGE_320_FPN, "torchvision's, for small pictures"),
        _torchvision(_RETINANET, "torchvision's, trained from its COCO weights or from nothing"),
        _torchvision(f"{_RETINANET}_imagenet", "the same, trained from weights_backbone alone"),
        _torchvision(
            "ssdlite320_mobilenet_v3_large", "torchvision's", pixels=_MINUS_ONE_TO_ONE, preprocessing="stretch_float"
        ),
    )
}
"""Every known family, by name."""


def family(name: str) -> Family:
    """The family of that name.

    Raises:
        InvalidOptionError: there is none.
    """
    if name not in FAMILIES:
        raise InvalidOptionError(f"family {name!r} is not known; choose one of {', '.join(FAMILIES)}")
    return FAMILIES[name]
