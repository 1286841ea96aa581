"""Sightline, served, one image at a time: what somebody waits who asks for a single image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from _turns import Turns, arguments, read_images

from sightline import Client
from sightline_server.launcher import EmbeddedServer, ServerOptions


def main() -> None:
    """Serve, then ask for one after another."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True)
    given = parser.parse_args()
    options = ServerOptions(
        repository=given.repository, models=(given.model,), grpc_port=0, http_port=0, metrics_port=0
    )
    with EmbeddedServer(options) as server, Client(server.grpc_url, model=given.model) as client:

        def detect(paths: Sequence[str]) -> int:
            return sum(len(client.detect(path)) for path in paths)

        turns.take(read_images(given.images), detect)


if __name__ == "__main__":
    main()
