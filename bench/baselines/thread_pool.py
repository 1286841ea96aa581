"""A pool of threads, each with its own copy of the model, as Ultralytics advises; the photos go to whoever is free."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import cv2
from _threads import set_torch_threads
from _turns import Turns, arguments, read_images
from ultralytics import YOLO


def main() -> None:
    """Load the models, then share the photos out."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--threads", type=int, help="of torch for each network; without it, as many as Ultralytics sets"
    )
    given = parser.parse_args()
    images = read_images(given.images)
    own = threading.local()

    def load() -> None:
        own.model = YOLO(given.weights, task="detect")
        detect(images[0])  # Ultralytics loads the network with the first picture
        set_torch_threads(given.threads)  # OpenMP counts threads for each thread that asks

    def detect(path: str) -> int:
        (result,) = own.model.predict(cv2.imread(path), verbose=False)
        return len(result.boxes)

    with ThreadPoolExecutor(given.workers, initializer=load) as pool:

        def one_pass(paths: Sequence[str]) -> int:
            return sum(pool.map(detect, paths))

        one_pass(images[: 2 * given.workers])  # until every thread has loaded its model
        turns.take(images, one_pass)


if __name__ == "__main__":
    main()
