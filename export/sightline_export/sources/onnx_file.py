"""ONNX files that others made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from sightline.contract import DEFAULT_IMAGE_SIZE, check_image_size
from sightline.detector_info import DetectorInfo
from sightline.errors import CheckpointError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.families import Family
from sightline_export.graph.scan import scan_over_images
from sightline_export.heads import HEADS
from sightline_export.heads.recognise import recognise
from sightline_export.options import ExportOptions, check_class_names
from sightline_export.raw import RawNetwork
from sightline_export.session import Session

from .convert import to_served_opset, with_float_interface
from .integer_conv import with_float_convolutions
from .interface import PictureInput, isolate_prediction, picture_input
from .metadata import Metadata, read_metadata
from .onnx_reference import OnnxFileReference

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
    model = _read(source)
    metadata = read_metadata(model, source)
    picture = picture_input(model, source)
    image_size = _image_size(picture, options, metadata)
    picture.fix_size(image_size)
    isolate_prediction(model, source)
    output = model.graph.output[0].name
    # Taken before the conversion, which leaves out what it does not need.
    versions = {model.producer_name: model.producer_version} if model.producer_name else {}
    # First, as the conversion is checked by running both sides of it.
    model = with_float_convolutions(model)
    model = with_float_interface(to_served_opset(model, source, image_size=image_size))
    model = model if picture.batched else scan_over_images(model)
    shape = _output_shape(model, image_size)
    names = options.classes or metadata.class_names
    class_count = None if names is None else len(names)
    family = recognise(shape, image_size=image_size, class_count=class_count, wanted=options.family)
    if options.nms == "none" and HEADS[family.head].needs_nms:
        raise InvalidOptionError(f"{source.name} has no NMS-free head ({family.name}); leave out --nms none")
    preprocessing = Preprocessing(family.preprocessing, (image_size,))
    class_names = _class_names(names, family, shape)
    return RawNetwork(
        model=model,
        head=HEADS[family.head],
        preprocessing=preprocessing,
        pixels=family.pixels,
        class_names=class_names,
        stride=metadata.stride or _DEFAULT_STRIDE,
        source=source,
        reference=OnnxFileReference(
            source,
            output=output,
            batched=picture.batched,
            pixels=family.pixels,
            info=DetectorInfo(
                class_names=class_names,
                preprocessing=preprocessing,
                head=family.head,
                iou_threshold=options.iou_threshold,
                max_detections=options.max_detections,
                multi_label=options.multi_label,
            ),
        ),
        versions=versions,
    )


def _read(source: Path) -> onnx.ModelProto:
    if not source.is_file():
        raise CheckpointError(f"{source} does not exist or is not a file; give the path of one ONNX file")
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


def _output_shape(model: onnx.ModelProto, image_size: int) -> tuple[int, ...]:
    """The prediction's shape for one picture; what the graph declares may be incomplete."""
    grey = np.full((1, 3, image_size, image_size), 0.5, dtype=np.float32)
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
