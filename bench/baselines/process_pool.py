"""A pool of processes, each with its own copy of the model; the photos go to whoever is free."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence

import cv2
from _threads import set_torch_threads
from _turns import Turns, arguments, read_images
from ultralytics import YOLO

model: YOLO
"""Of the process."""


def load(weights: str, first: str, threads: int | None) -> None:
    """Run once in each process."""
    global model  # noqa: PLW0603 - a pool has no other place for what its processes hold
    model = YOLO(weights, task="detect")
    detect(first)  # Ultralytics loads the network with the first picture
    set_torch_threads(threads)


def detect(path: str) -> int:
    """Objects in a photo."""
    (result,) = model.predict(cv2.imread(path), verbose=False)
    return len(result.boxes)


def main() -> None:
    """Load the models, then share the photos out."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, help="of torch in each process; without it, as many as Ultralytics sets")
    given = parser.parse_args()
    images = read_images(given.images)
    context = multiprocessing.get_context("spawn")
    arguments_of_load = (given.weights, images[0], given.threads)
    with context.Pool(given.workers, initializer=load, initargs=arguments_of_load) as pool:

        def one_pass(paths: Sequence[str]) -> int:
            return sum(pool.imap_unordered(detect, paths))

        one_pass(images[: 2 * given.workers])  # until every process has loaded its model
        turns.take(images, one_pass)


if __name__ == "__main__":
    main()
