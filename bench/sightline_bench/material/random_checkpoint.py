"""Writes a checkpoint of an Ultralytics architecture with random weights that find something.

python random_checkpoint.py yolov3-tiny.yaml yolov3-tinyu.pt
"""

from __future__ import annotations

import sys

SEED = 0


def main() -> None:
    """Make it, and save it as Ultralytics does."""
    import torch
    from ultralytics import YOLO

    from sightline_export.sources.random_weights import enliven

    architecture, file = sys.argv[1:]
    torch.manual_seed(SEED)
    model = YOLO(architecture, task="detect")
    enliven(model.model)
    model.save(file)


if __name__ == "__main__":
    main()
