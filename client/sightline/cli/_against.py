"""The source of a served detector, run by its own framework under the same protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from sightline.detections import Detections, Result
from sightline.detector_info import DetectorInfo
from sightline.errors import ImageError, InvalidOptionError, MissingDependencyError
from sightline.images import DEFAULT_MAX_IMAGE_BYTES, read_image_file


class SourceFramework:
    """A checkpoint or ONNX file with the settings of a served detector.

    Args:
        path: the file, as `sightline export` takes it.
        info: the served detector, whose input size, suppression and labels are taken over.
        family: sort of network, where the file alone does not tell.

    Raises:
        MissingDependencyError: the export extra is not installed.
        CheckpointError: the file cannot be read, or is no detector.
        InvalidOptionError: it cannot be run as the served detector is.
    """

    def __init__(self, path: Path, info: DetectorInfo, *, family: str | None) -> None:
        try:
            from sightline_export.options import ExportOptions
            from sightline_export.raw import sha256
            from sightline_export.sources import load
        except ImportError as error:
            raise MissingDependencyError(
                f"--against needs the export extra ({error}): `make install` in a checkout"
            ) from error
        same_file = path.is_file() and sha256(path) == info.source_sha256
        options = ExportOptions(
            image_size=info.preprocessing.sides[0],
            rect=info.preprocessing.kind == "rect",
            iou_threshold=info.iou_threshold,
            max_detections=info.max_detections,
            multi_label=info.multi_label,
            nms="none" if info.head == "end_to_end" and path.suffix.lower() != ".onnx" else "operator",
            # The names that it was exported with; another file has names of its own.
            classes=info.class_names if same_file else None,
            family=family,
        )
        raw = load(path, options)
        if raw.preprocessing != info.preprocessing:
            raise InvalidOptionError(
                f"--against {path} sees pictures as {raw.preprocessing.model_name}, the served detector as "
                f"{info.preprocessing.model_name}: their figures cannot be compared"
            )
        self.class_names = raw.class_names
        self._reference = raw.reference

    @property
    def description(self) -> str:
        """What runs it, with its version."""
        return self._reference.description

    def stream(self, paths: Iterable[str], *, score_threshold: float) -> Iterator[Result]:
        """What it finds in each file, in order."""
        for path in paths:
            try:
                yield Result(path, self._detect(path, score_threshold))
            except ImageError as error:
                yield Result(path, error=error)

    def _detect(self, path: str, score_threshold: float) -> Detections:
        from sightline_export.sample import decode_rgb

        picture = decode_rgb(read_image_file(path, max_bytes=DEFAULT_MAX_IMAGE_BYTES))
        found = self._reference.detect(picture, score_threshold=score_threshold)
        return Detections(
            found.boxes_xyxy.astype(np.float32),
            found.scores.astype(np.float32),
            found.class_ids.astype(np.int32),
            self.class_names,
            (picture.shape[0], picture.shape[1]),
        )
