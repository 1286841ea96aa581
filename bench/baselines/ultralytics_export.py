"""Ultralytics' own export of a checkpoint, with its defaults: fp32, square, one image. Prints where it wrote it."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
from pathlib import Path

from ultralytics import YOLO


def main() -> None:
    """Export beside a copy of the checkpoint: Ultralytics writes beside what it reads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--format", choices=("openvino", "onnx"), required=True)
    parser.add_argument("--folder", type=Path, required=True, help="exists; gets the copy and the export")
    given = parser.parse_args()
    copy = shutil.copy(given.weights, given.folder)
    with contextlib.redirect_stdout(sys.stderr):
        made = YOLO(copy).export(format=given.format)
    print(made)


if __name__ == "__main__":
    main()
