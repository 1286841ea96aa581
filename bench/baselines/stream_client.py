"""Sightline's client alone: it streams a made-up payload to a server that runs already, again and again.

With --fresh each image is new bytes, as those that are read from files are, which takes time to make; without, the same
ones are sent again and again, as perf_analyzer does. After each pass it tells the most memory that its own process has
had so far.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from _turns import Turns, payload_arguments

from sightline import Client, EncodedImage
from sightline_bench.transports import payload_of


def peak_memory_bytes() -> int:
    """The highest resident set of this process; unlike `getrusage`'s, not that of the process that started it."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def main() -> None:
    """Connect, then stream."""
    turns = Turns()
    parser = payload_arguments(__doc__)
    parser.add_argument("--batch", type=int, default=1, help="images in a request")
    parser.add_argument("--fresh", action="store_true", help="new bytes for each image")
    given = parser.parse_args()
    image = payload_of(given.payload_bytes)

    def images(count: int) -> Iterator[EncodedImage]:
        if given.fresh:
            return (EncodedImage("payload", bytes(bytearray(image.data))) for _ in range(count))
        return itertools.repeat(image, count)

    with Client(given.url, model=given.model) as client:

        def one_pass(chosen: Sequence[str]) -> dict[str, float]:
            found = sum(len(each.unwrap()) for each in client.stream(images(len(chosen)), batch_size=given.batch))
            return {"found": found, "peak_memory_bytes": peak_memory_bytes()}

        turns.take([""] * given.count, one_pass)


if __name__ == "__main__":
    main()
