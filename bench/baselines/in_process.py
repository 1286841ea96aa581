"""The served detector's own decoder, letterbox, engine and suppression in a loop, without a server.

With one worker, one batch after another, each step on all cores; with several, each has its share of the cores and
takes the next batch when it is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from _parts import Parts, batches, open_parts, taken
from _turns import Turns, arguments, read_images


def main() -> None:
    """Open everything, then loop."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    free: SimpleQueue[Parts] = SimpleQueue()
    for parts in open_parts(given.repository, given.model, workers=given.workers):
        free.put(parts)

    def detect(paths: Sequence[str]) -> int:
        with taken(free) as parts:
            return parts.detect(parts.decode(paths))

    with ThreadPoolExecutor(given.workers) as pool:
        turns.take(read_images(given.images), lambda paths: sum(pool.map(detect, batches(paths, given.batch))))


if __name__ == "__main__":
    main()
