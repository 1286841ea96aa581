"""Writes `yolov5.json`: numbers that the original ultralytics/yolov5 repository gives.

    git clone https://github.com/ultralytics/yolov5 CHECKOUT
    python tests/export/golden/make_yolov5.py CHECKOUT ../shared/data

It imports and runs that repository, so give it a checkout that you trust; of that repository nothing but these numbers
is kept. The numbers in the file are of its commit 5081342, run with torch 2.15 on an AMD Zen 4 processor.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

PICTURES = (
    "images/bus.jpg",
    "images/zidane.jpg",
    "coco/images/000000000139.jpg",
    "coco/images/000000000802.jpg",
    "coco/images/000000006818.jpg",
    "coco/images/000000011813.jpg",
    "coco/images/000000018575.jpg",
)
IMAGE_SIZE = 640
SCORE_THRESHOLD = 0.25
IOU_THRESHOLD = 0.7
SAMPLED_ROWS = 12
"""As many of the raw output's rows, those of the highest objectness, are kept whole but for the lesser classes."""
SIZES = tuple(f"models/yolov5{size}.yaml" for size in "nsmlx")
LARGE_SIZES = tuple(f"models/hub/yolov5{size}6.yaml" for size in "nsmlx")
OLDER = tuple(f"models/hub/yolov3{kind}.yaml" for kind in ("", "-spp", "-tiny"))


def main() -> None:
    """Read the command line, run everything, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path, help="of ultralytics/yolov5")
    parser.add_argument("data", type=Path, help="the folder of shared test data")
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.checkout.resolve()))
    torch.set_num_threads(1)
    golden = {
        "image_size": IMAGE_SIZE,
        "score_threshold": SCORE_THRESHOLD,
        "iou_threshold": IOU_THRESHOLD,
        "checkpoint": dict(of_checkpoint(arguments.data)),
        "networks": {Path(name).stem: of_network(arguments.checkout / name) for name in SIZES + LARGE_SIZES + OLDER},
    }
    text = json.dumps(golden, indent=1)
    # Rows of numbers on one line each.
    text = re.sub(r"\[[^\[\]{}]*\]", lambda row: " ".join(row[0].split()), text)
    Path(__file__).with_name("yolov5.json").write_text(text + "\n")


def of_checkpoint(data: Path) -> Iterator[tuple[str, Any]]:
    """What yolov5n.pt finds in each picture."""
    # Modules of the checkout, which stands in the path now.
    attempt_load = importlib.import_module("models.experimental").attempt_load
    letterbox = importlib.import_module("utils.augmentations").letterbox
    general = importlib.import_module("utils.general")

    model = attempt_load(data / "weights" / "yolov5n.pt", device=torch.device("cpu"), fuse=False)
    for name in PICTURES:
        picture = cv2.imread(str(data / name))
        assert picture is not None
        fitted = letterbox(picture, IMAGE_SIZE, auto=False)[0]
        pixels = torch.from_numpy(np.ascontiguousarray(fitted[..., ::-1].transpose(2, 0, 1))).float()[None] / 255
        with torch.no_grad():
            raw = model(pixels)[0]
        [found] = general.non_max_suppression(raw.clone(), SCORE_THRESHOLD, IOU_THRESHOLD)
        found[:, :4] = general.scale_boxes(fitted.shape[:2], found[:, :4], picture.shape)
        yield name, {"raw": sample(raw[0]), "detections": [[round(float(v), 4) for v in row] for row in found]}


def sample(raw: torch.Tensor) -> dict[str, Any]:
    """Shape, means of the first columns and of all class scores, and a few rows of a raw output [A, 5 + classes]."""
    rows = raw[:, 4].argsort(descending=True, stable=True)[:SAMPLED_ROWS]
    return {
        "shape": list(raw.shape),
        "means": [round(float(value), 6) for value in (*raw[:, :5].double().mean(0), raw[:, 5:].double().mean())],
        "rows": [
            {
                "row": int(row),
                "box_and_objectness": [round(float(value), 5) for value in raw[row, :5]],
                "class": int(raw[row, 5:].argmax()),
                "class_score": round(float(raw[row, 5:].max()), 6),
            }
            for row in rows
        ],
    }


def of_network(description: Path) -> dict[str, Any]:
    """Parameters, arithmetic and the names and shapes of the weights of one network for 80 classes."""
    profile = importlib.import_module("thop").profile
    model = importlib.import_module("models.yolo").Model(str(description)).eval()
    side = int(model.stride.max())
    multiplications = profile(model, inputs=(torch.zeros(1, 3, side, side),), verbose=False)[0]
    return {
        "parameters": sum(each.numel() for each in model.parameters()),
        "gflops": round(2e-9 * multiplications * (IMAGE_SIZE / side) ** 2, 1),
        "stride": side,
        "layout": layout(model),
    }


def layout(model: torch.nn.Module) -> str:
    """One number for the names and shapes of all parameters and running statistics, in order."""
    kept = ("weight", "bias", "running_mean", "running_var")
    lines = [f"{name} {tuple(value.shape)}" for name, value in model.state_dict().items() if name.endswith(kept)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


if __name__ == "__main__":
    main()
