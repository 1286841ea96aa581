"""Several models over one folder as the article's script does it: a loop for each model, one square picture at a time,
and an annotated JPEG written for each before the next is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import torch
from _threads import set_torch_threads
from _turns import Turns, arguments, read_images
from ultralytics import YOLO


def main() -> None:
    """Load all models, then one loop after another."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", nargs="+", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="folder for a folder of pictures for each model")
    parser.add_argument("--threads", type=int, help="of torch; without it, as many as Ultralytics sets")
    given = parser.parse_args()
    models = {weights.stem: YOLO(weights, task="detect") for weights in given.weights}

    def one_pass(paths: Sequence[str]) -> dict[str, int]:
        found = 0
        for name, model in models.items():
            folder = given.output / name
            folder.mkdir(parents=True, exist_ok=True)
            for path in paths:
                (result,) = model.predict(cv2.imread(path), rect=False, verbose=False)
                cv2.imwrite(str(folder / Path(path).name), result.plot())
                found += len(result.boxes)
        return {"found": found, "torch_threads": torch.get_num_threads()}

    images = read_images(given.images)
    one_pass(images[:1])  # Ultralytics loads a network with its first picture
    set_torch_threads(given.threads)
    turns.take(images, one_pass)


if __name__ == "__main__":
    main()
