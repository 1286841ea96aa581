"""Sightline's client alone: it streams photos to a server that runs already."""

from __future__ import annotations

from collections.abc import Sequence

from _turns import Turns, arguments, read_images

from sightline import Client


def main() -> None:
    """Connect, then stream."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--url", required=True, help="HOST:PORT of the gRPC service")
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=1, help="photos in a request")
    given = parser.parse_args()
    with Client(given.url, model=given.model) as client:

        def one_pass(paths: Sequence[str]) -> int:
            return sum(len(result.unwrap()) for result in client.stream(paths, batch_size=given.batch))

        turns.take(read_images(given.images), one_pass)


if __name__ == "__main__":
    main()
