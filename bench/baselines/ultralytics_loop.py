"""What the tutorials do: read an image with OpenCV, hand it to Ultralytics, take the next.

The weights are a checkpoint (`.pt`, YOLOv3, v5, v8 and later), which runs on torch and sees rectangular pictures, as is
Ultralytics' default; or one of Ultralytics' own exports (`.onnx`, `_openvino_model`), which sees squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import torch
from _threads import set_torch_threads
from _turns import Turns, arguments, read_images
from ultralytics import YOLO


def main() -> None:
    """Load, then loop."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--threads", type=int, help="of torch; without it, as many as Ultralytics sets")
    given = parser.parse_args()
    model = YOLO(given.weights, task="detect")

    def one_pass(paths: Sequence[str]) -> dict[str, int]:
        found = 0
        for path in paths:
            image = cv2.imread(path)
            (result,) = model.predict(image, verbose=False)
            found += len(result.boxes)
        return {"found": found, "torch_threads": torch.get_num_threads()}

    images = read_images(given.images)
    one_pass(images[:1])  # Ultralytics loads the network with the first picture
    set_torch_threads(given.threads)
    turns.take(images, one_pass)


if __name__ == "__main__":
    main()
