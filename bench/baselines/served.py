"""Sightline itself, measured as the baselines are: an embedded Triton and a client with their default settings.

With `--output`, annotated JPEGs are written as `sightline detect --format annotated --jpeg-quality 95` does it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from _turns import Turns, arguments, read_images

from sightline import Client, job
from sightline.writers import AnnotatedWriter, ErrorLog, GroupWriter, Writer, WriterPool
from sightline_server.launcher import EmbeddedServer, ServerOptions


def main() -> None:
    """Serve, then stream."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True, help="a detector, or a group")
    parser.add_argument("--output", type=Path, help="write annotated pictures there")
    given = parser.parse_args()
    images = read_images(given.images)
    options = ServerOptions(
        repository=given.repository, models=(given.model,), grpc_port=0, http_port=0, metrics_port=0
    )
    with EmbeddedServer(options) as server, Client(server.grpc_url, model=given.model) as client:

        def detect(paths: Sequence[str]) -> int:
            return sum(len(result.unwrap()) for result in client.stream(paths))

        def annotate(paths: Sequence[str]) -> int:
            writer = _annotator(given.output, list(client.members), images)
            pool = WriterPool([writer], errors=ErrorLog(given.output))
            report = job.run(client.stream(paths), pool=pool)
            if report.failed:
                raise SystemExit(f"{report.failed} images failed; see {given.output}")
            return report.objects.total()

        turns.take(images, annotate if given.output else detect)


_JPEG_QUALITY = 95
"""What OpenCV writes where nobody says otherwise, as the scripts beside this do."""


def _annotator(output: Path, models: list[str], images: Sequence[str]) -> Writer:
    """As `sightline detect` chooses it."""
    base = Path(images[0]).parent

    def make(folder: Path) -> Writer:
        return AnnotatedWriter(folder, base=base, jpeg_quality=_JPEG_QUALITY)

    return make(output) if len(models) == 1 else GroupWriter(output, models, make)


if __name__ == "__main__":
    main()
