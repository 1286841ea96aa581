"""ONNX files that others made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from sightline.contract import DEFAULT_IMAGE_SIZE, check_image_size
from sightline.detector_info import DetectorInfo
from sightline.errors import CheckpointError, InvalidOptionError, VerificationError
from sightline.preprocessing import Preprocessing
from sightline_export.families import Family
from sightline_export.graph.scan import scan_over_images
from sightline_export.heads import HEADS, Head
from sightline_export.heads.recognise import recognise
from sightline_export.options import ExportOptions, check_class_names
from sightline_export.raw import RawNetwork
from sightline_export.session import Session

from .chosen import NoRectanglesError, chosen_preprocessing
from .convert import to_served_opset, with_float_interface
from .integer_conv import with_float_convolutions
from .interface import PictureInput, isolate_prediction, picture_input
from .metadata import Metadata, read_metadata
from .onnx_reference import OnnxFileReference
from .versions import first_line

_DEFAULT_STRIDE = 32


def load_onnx(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of an `.onnx` file with one picture as input and one tensor of predictions.

    Input size, batch axis and layout are taken from the graph, class names and stride from its metadata.

    Raises:
        CheckpointError: not there, damaged, or made for something else than detection.
        UnknownHeadError: the output has no known layout, or fits several.
        InvalidOptionError: an option contradicts the file.
        VerificationError: it does not run.
    """
    file = _read(source, options)
    names = options.classes or file.metadata.class_names
    shape = _output_shape(file.model, file.image_size, file.image_size)
    class_count = None if names is None else len(names)
    family = recognise(shape, image_size=file.image_size, class_count=class_count, wanted=options.family)
    head = HEADS[family.head]
    if options.nms == "none" and head.needs_nms:
        raise InvalidOptionError(f"{source.name} has no NMS-free head ({family.name}); leave out --nms none")
    stride = file.metadata.stride or _DEFAULT_STRIDE
    preprocessing = chosen_preprocessing(
        options, family.preprocessing, image_size=file.image_size, stride=stride, head=head
    )
    if options.rect:
        _check_follows(file.model, source, preprocessing, head, square=shape)
    info = DetectorInfo(
        class_names=_class_names(names, family, shape),
        preprocessing=preprocessing,
        head=family.head,
        iou_threshold=options.iou_threshold,
        max_detections=options.max_detections,
        multi_label=options.multi_label,
    )
    return RawNetwork(
        model=file.model,
        head=head,
        preprocessing=info.preprocessing,
        pixels=family.pixels,
        class_names=info.class_names,
        stride=stride,
        source=source,
        reference=OnnxFileReference(source, output=file.output, batched=file.batched, pixels=family.pixels, info=info),
        versions=file.versions,
    )


@dataclass(frozen=True, kw_only=True)
class _File:
    """What a file holds.

    Attributes:
        model: the graph for the served opset, float32 [N, 3, S, S] to one tensor, N free; for rectangles, height and
            width are free too.
        metadata: what stands beside it.
        image_size: S, in pixels.
        output: the predictions' name in the file.
        batched: whether the file's own graph takes any number of pictures.
        versions: what made it.
    """

    model: onnx.ModelProto
    metadata: Metadata
    image_size: int
    output: str
    batched: bool
    versions: dict[str, str]


def _read(source: Path, options: ExportOptions) -> _File:
    model = _read_graph(source)
    metadata = read_metadata(model, source)
    picture = picture_input(model, source)
    image_size = _image_size(picture, options, metadata)
    if options.rect:
        _check_free(picture, source)
    else:
        picture.fix_size(image_size)
    isolate_prediction(model, source)
    return _File(
        model=_as_served(model, source, picture, image_size=image_size),
        metadata=metadata,
        image_size=image_size,
        output=model.graph.output[0].name,
        batched=picture.batched,
        versions={model.producer_name: model.producer_version} if model.producer_name else {},
    )


def _as_served(model: onnx.ModelProto, source: Path, picture: PictureInput, *, image_size: int) -> onnx.ModelProto:
    """The same network in the form that the served graph is composed of, with outputs of the same names."""
    # First, as the conversion is checked by running both sides of it.
    served = with_float_convolutions(model)
    served = with_float_interface(to_served_opset(served, source, image_size=image_size))
    return served if picture.batched else scan_over_images(served)


def _read_graph(source: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(source)
        if not model.graph.node:
            raise CheckpointError(f"{source} holds no network")
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError, OSError) as error:
        raise CheckpointError(f"{source} is truncated or no ONNX file: {error}") from error
    return model


def _image_size(picture: PictureInput, options: ExportOptions, metadata: Metadata) -> int:
    """The size that the graph is fixed to, else the wanted one, else the one in its metadata."""
    fixed = picture.image_size
    if fixed is None:
        return options.image_size or check_image_size(metadata.image_size or DEFAULT_IMAGE_SIZE)
    if options.image_size not in (None, fixed):
        raise InvalidOptionError(
            f"image size {options.image_size} was asked for, but this graph is fixed to {fixed}; leave out --imgsz, or "
            "export it anew where it was trained"
        )
    return check_image_size(fixed)


_ANY_SIZE = "export it anew with free height and width (dynamic=True in Ultralytics), or leave out --rect"


def _check_free(picture: PictureInput, source: Path) -> None:
    """Refuse rectangles where the graph states its size."""
    if picture.image_size is not None:
        size = f"{picture.image_size} x {picture.image_size}"
        raise NoRectanglesError(f"{source.name} is fixed to {size}", _ANY_SIZE)


def _check_follows(
    model: onnx.ModelProto, source: Path, preprocessing: Preprocessing, head: Head, *, square: tuple[int, ...]
) -> None:
    """Refuse a graph that takes rectangles by its own account only: one of a tenth has a tenth of the candidates.

    The thinnest is tried, which is one stride high.

    Raises:
        NoRectanglesError: it does not run, or has another number of them.
    """
    side, height = preprocessing.sides
    try:
        came = _output_shape(model, height, side)
    except VerificationError as error:
        reason = f"{source.name} does not take {height} x {side} pixels ({first_line(error)})"
        raise NoRectanglesError(reason, _ANY_SIZE) from error
    axis = 1 + head.candidate_axis
    wanted = square[axis] * height // side if head.needs_nms else square[axis]
    if came[axis] != wanted:
        raise NoRectanglesError(
            f"{source.name} gives {came[axis]} candidates for {height} x {side} pixels, where {wanted} follow from "
            f"{square[axis]} for the square: its places do not follow the picture's size",
            _ANY_SIZE,
        )


def _output_shape(model: onnx.ModelProto, height: int, width: int) -> tuple[int, ...]:
    """The prediction's shape for one picture; what the graph declares may be incomplete."""
    grey = np.full((1, 3, height, width), 0.5, dtype=np.float32)
    return Session(model).run([grey])[0].shape


def _class_names(names: tuple[str, ...] | None, family: Family, shape: tuple[int, ...]) -> tuple[str, ...]:
    if names is not None:
        return check_class_names(names)
    count = HEADS[family.head].class_count((shape[1], shape[2]))
    if not count:
        raise InvalidOptionError(
            f"an output of layout {family.head} does not tell its classes, and neither does the file's metadata; "
            "name them with --classes"
        )
    return tuple(f"class_{index}" for index in range(count))
