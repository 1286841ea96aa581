"""Measures a raw ONNX file of the demo detector on pictures that its training never saw.

Example: python -m sightline_export.demo.evaluate trained/demo_raw.onnx
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from torchvision.ops import batched_nms, box_convert

from sightline.precision_recall import Curve, Outcomes, judge

from .objects import CLASS_NAMES
from .samples import HELD_OUT_SEED, Labelled, decode_rgb, held_out_set, letterbox

_SCORE_FLOOR, _OVERLAP_LIMIT, _MOST_DETECTIONS = 0.001, 0.7, 300


class Found(NamedTuple):
    """What was found in one picture, in its pixels: float32 [n, 4], float32 [n], int64 [n]."""

    boxes_xyxy: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]


Detect = Callable[[bytes], Found]


def onnx_detector(path: Path, *, threads: int = 2) -> Detect:
    """A function from JPEG bytes to what the raw ONNX file at `path` finds, with NMS at IoU 0.7."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    side = int(session.get_inputs()[0].shape[2])

    def detect(jpeg: bytes) -> Found:
        framed = letterbox(decode_rgb(jpeg), side)
        images = framed.picture.transpose(2, 0, 1)[None].astype(np.float32) / 255
        rows = torch.from_numpy(session.run(None, {"images": images})[0][0]).T
        scores, class_ids = rows[:, 4:].max(1)
        likely = scores >= _SCORE_FLOOR
        boxes = box_convert(rows[likely, :4], "cxcywh", "xyxy")
        kept = batched_nms(boxes, scores[likely], class_ids[likely], _OVERLAP_LIMIT)[:_MOST_DETECTIONS]
        origin = np.array([framed.left, framed.top] * 2, np.float32)
        boxes_xyxy = (boxes[kept].numpy() - origin) / np.float32(framed.scale)
        return Found(boxes_xyxy, scores[likely][kept].numpy(), class_ids[likely][kept].numpy())

    return detect


def average_precision_50(truths: Iterable[Labelled], detect: Detect) -> dict[str, float]:
    """Average precision at IoU 0.5 of each class that occurs, by COCO's 101-point rule."""
    judged = [_Judged() for _ in CLASS_NAMES]
    for truth in truths:
        found = detect(truth.jpeg)
        for index, of_class in enumerate(judged):
            mine = found.class_ids == index
            of_class.add(found.boxes_xyxy[mine], found.scores[mine], truth.boxes_xyxy[truth.class_ids == index])
    return {
        name: each.curve().average_precision() for name, each in zip(CLASS_NAMES, judged, strict=True) if each.wanted
    }


class _Judged:
    """What became of the boxes of one class, picture after picture."""

    def __init__(self) -> None:
        self.wanted = 0
        self._scores: list[NDArray[np.float32]] = []
        self._outcomes: list[Outcomes] = []

    def add(
        self, boxes_xyxy: NDArray[np.float32], scores: NDArray[np.float32], wanted_xyxy: NDArray[np.float32]
    ) -> None:
        self.wanted += len(wanted_xyxy)
        self._scores.append(scores)
        self._outcomes.append(judge(boxes_xyxy, scores, wanted_xyxy))

    def curve(self) -> Curve:
        return Curve.of(np.concatenate(self._scores), np.concatenate(self._outcomes), objects=self.wanted)


def main(arguments: list[str] | None = None) -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(
        prog="python -m sightline_export.demo.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, help="the raw ONNX file")
    parser.add_argument("--count", type=int, default=200, help="pictures; default: %(default)s")
    parser.add_argument("--seed", type=int, default=HELD_OUT_SEED, help="default: %(default)s")
    options = parser.parse_args(arguments)
    pictures = held_out_set(seed=options.seed, count=options.count)
    precisions = average_precision_50(pictures, onnx_detector(options.model))
    for name, precision in precisions.items():
        print(f"{name:12} {precision:.3f}")
    print(f"mAP50 {np.mean(list(precisions.values())):.4f} on {options.count} pictures of seed {options.seed}")


if __name__ == "__main__":
    main()
