"""The served detector's network alone, suppression included, on pictures that lie ready in memory.

Where it sees rectangles, those of one aspect lie together, and make the batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import numpy as np
from _parts import Parts, batches, open_parts, taken
from _turns import Turns, arguments, read_images

from sightline_server.pipeline import Pictures


def main() -> None:
    """Decode everything, then run the network on it again and again."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    images = read_images(given.images)
    workers = open_parts(given.repository, given.model, workers=given.workers)
    # Copies, since the decoder writes into the same memory again.
    decoded = [Pictures(*map(np.copy, workers[0].decode([path]))) for path in images]
    pictures = np.concatenate([each.images for each in decoded])
    shapes = np.concatenate([each.original_shapes for each in decoded])
    rectangles = np.concatenate([each.rectangles_hw for each in decoded])
    order = np.lexsort(rectangles.T)
    pictures, shapes, rectangles = pictures[order], shapes[order], rectangles[order]
    free: SimpleQueue[Parts] = SimpleQueue()
    for parts in workers:
        free.put(parts)

    def detect(indices: range) -> int:
        chosen = slice(indices.start, indices.stop)
        with taken(free) as parts:
            return parts.detect(Pictures(pictures[chosen], shapes[chosen], rectangles[chosen]))

    def one_pass(paths: Sequence[str]) -> int:
        return sum(pool.map(detect, batches(range(len(paths)), given.batch)))

    with ThreadPoolExecutor(given.workers) as pool:
        turns.take(images, one_pass)


if __name__ == "__main__":
    main()
