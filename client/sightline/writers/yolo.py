"""YOLO labels: one text file a picture, one object a line."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np

from sightline.boxes import xyxy_to_xywh
from sightline.detections import Detections, Result
from sightline.writers.base import Write, Writer
from sightline.writers.files import OutputNames, make_folder, write_whole

LABELS_FOLDER = "labels"
CLASSES_FILE = "classes.txt"


class YoloWriter(Writer):
    """`labels/NAME.txt` for every picture, empty where nothing was found, and `classes.txt` with the class names.

    A line is the class id, then centre x, centre y, width and height of the box as shares of the picture's (after EXIF
    rotation), then the score if it is asked for. Training tools take the lines without score.
    """

    name: ClassVar[str] = "YOLO labels"
    in_order: ClassVar[bool] = False

    def __init__(self, folder: Path, *, base: Path, with_scores: bool = False) -> None:
        """Write below `folder`, mirroring the folders that pictures have below `base`.

        Raises:
            OutputError: the folder cannot be made.
        """
        self._folder = folder
        self._names = OutputNames(base)
        self._with_scores = with_scores
        self._class_names: tuple[str, ...] | None = None
        make_folder(folder / LABELS_FOLDER)

    def prepare(self, result: Result) -> Write:
        """See `Writer`."""
        detections = result.unwrap()
        if self._class_names is None:
            names = "".join(f"{' '.join(name.split())}\n" for name in detections.class_names)
            write_whole(self._folder / CLASSES_FILE, names.encode())
            self._class_names = detections.class_names
        name = self._names.claim(result.source)
        path = self._folder / LABELS_FOLDER / name.with_name(name.name + ".txt")
        return partial(self._write, path, detections)

    def _write(self, path: Path, detections: Detections) -> None:
        write_whole(path, yolo_lines(detections, with_scores=self._with_scores).encode())


def yolo_lines(detections: Detections, *, with_scores: bool = False) -> str:
    """The text of one label file."""
    height, width = detections.image_size_hw
    shares = xyxy_to_xywh(detections.boxes_xyxy.astype(np.float64)) / np.array([width, height, width, height])
    scores = detections.scores.tolist() if with_scores else []
    lines = []
    for index, (class_id, share) in enumerate(zip(detections.class_ids.tolist(), shares.tolist(), strict=True)):
        numbers = [*share, *scores[index : index + 1]]
        lines.append(f"{class_id} {' '.join(f'{number:.6f}' for number in numbers)}\n")
    return "".join(lines)
