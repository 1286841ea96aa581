"""Picks the reader of a file by its name."""

from __future__ import annotations

from pathlib import Path

from sightline.errors import CheckpointError
from sightline_export.options import ExportOptions
from sightline_export.raw import RawNetwork

CHECKPOINT_SUFFIXES = (".pt",)
ARCHITECTURE_SUFFIXES = (".yaml", ".yml")
ONNX_SUFFIXES = (".onnx",)


def load(source: Path, options: ExportOptions) -> RawNetwork:
    """The raw network of a checkpoint, an architecture or an ONNX file.

    Args:
        source: a `.pt` checkpoint of Ultralytics, a `.yaml` that names or holds one of its architectures (random
            weights), or an `.onnx`.
        options: of which `image_size`, `classes`, `head`, `nms`, `max_detections` and `seed` matter here.

    Raises:
        CheckpointError: the file cannot be read, or is no detector.
        UnknownHeadError: its output has no known layout.
        InvalidOptionError: an option contradicts the file.
        MissingDependencyError: a package that reads such files is not installed.
    """
    suffix = source.suffix.lower()
    if suffix in ONNX_SUFFIXES:
        from .onnx_file import load_onnx

        return load_onnx(source, options)
    if suffix in CHECKPOINT_SUFFIXES:
        from .ultralytics import load_checkpoint

        return load_checkpoint(source, options)
    if suffix in ARCHITECTURE_SUFFIXES:
        from .ultralytics import build_architecture

        return build_architecture(source, options)
    allowed = ", ".join((*CHECKPOINT_SUFFIXES, *ARCHITECTURE_SUFFIXES, *ONNX_SUFFIXES))
    raise CheckpointError(f"{source} is none of the files that can be exported; their names end in {allowed}")
