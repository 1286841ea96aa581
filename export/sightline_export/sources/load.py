"""Picks the reader of a file by its name, and where that does not tell, by what stands in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from sightline.errors import CheckpointError, InvalidOptionError
from sightline_export.asset import existing_checkpoint
from sightline_export.options import ExportOptions
from sightline_export.raw import RawNetwork
from sightline_export.source_file import ARCHITECTURE_SUFFIXES, ONNX_SUFFIXES, RANDOM_SUFFIXES, check_source

from .checkpoint_kind import CheckpointKind, checkpoint_kind
from .chosen import NoRectanglesError
from .padding import with_kept_padding
from .yolov5 import ORIGINAL_PREFIX

_UNMEASURED = "fp16 is for GPUs, on which rectangles have not been measured"
_FAMILIES_OF = {CheckpointKind.ORIGINAL: ("yolov5",)}
"""What may be asked for beside a checkpoint that needs no asking."""


def load(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a checkpoint, an architecture or an ONNX file.

    Args:
        source: a checkpoint of Ultralytics or of the original YOLOv5 (`.pt`), weights of torchvision or Detecto
            (`.pth`, `.pt`), an `.onnx`; or, with random weights, a `.yaml` that names or holds an architecture of
            Ultralytics, or one of torchvision's detectors as `fasterrcnn_resnet50_fpn.random`, or an original YOLOv5
            or YOLOv3 as `original_yolov5s.random`.
        options: of which `image_size`, `rect`, `precision`, `classes`, `family`, `nms`, `max_detections` and `seed`
            matter here.

    Raises:
        CheckpointError: the file cannot be read, or is no detector.
        UnknownHeadError: its output has no known layout.
        UnsupportedVersionError: the package that reads such files is not of a tested version, and failed.
        InvalidOptionError: an option contradicts the file.
        MissingDependencyError: a package that reads such files is not installed.
    """
    raw = _load_as_decided(source, options)
    return replace(raw, model=with_kept_padding(raw.model))


def _load_as_decided(source: Path, options: ExportOptions) -> RawNetwork:
    """With rectangles where nobody decided and they are possible, else with squares and the reason."""
    if options.rect is not None:
        return _load(source, options)
    reason = _UNMEASURED if options.precision == "fp16" else ""
    if not reason:
        try:
            return _load(source, replace(options, rect=True))
        except NoRectanglesError as refused:
            reason = refused.reason
    return replace(_load(source, replace(options, rect=False)), square_because=reason)


def _load(source: Path, options: ExportOptions) -> RawNetwork:
    check_source(source, family=options.family)
    suffix = source.suffix.lower()
    if suffix in ONNX_SUFFIXES:
        from .onnx_file import load_onnx

        return load_onnx(source, options)
    if suffix in ARCHITECTURE_SUFFIXES:
        from .ultralytics import build_architecture

        return build_architecture(source, options)
    if suffix in RANDOM_SUFFIXES:
        return _build_random(source, options)
    return _load_checkpoint(existing_checkpoint(source), options)


def _build_random(source: Path, options: ExportOptions) -> RawNetwork:
    if source.stem.startswith(ORIGINAL_PREFIX):
        from .yolov5 import build_original

        return build_original(source, options)
    from .torchvision import build_random

    return build_random(source, options)


def _load_checkpoint(path: Path, options: ExportOptions) -> RawNetwork:
    kind = checkpoint_kind(path)
    if kind is CheckpointKind.WEIGHTS:
        from .torchvision import load_state_dict

        return load_state_dict(path, options)
    if options.family not in (None, *_FAMILIES_OF.get(kind, ())):
        raise InvalidOptionError(f"{path} is {kind.value}, which tells its family itself; leave out --family")
    if kind is CheckpointKind.ORIGINAL:
        from .yolov5 import load_original

        return load_original(path, options)
    if path.suffix.lower() != ".pt":
        raise CheckpointError(f"{path} is {kind.value}, which it reads under names that end in .pt only; rename it")
    from .ultralytics import load_checkpoint

    return load_checkpoint(path, options)
