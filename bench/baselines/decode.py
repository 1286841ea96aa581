# mypy: allow-untyped-decorators
"""Decoding alone, as the served detectors decode: DALI, to RGB, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from _parts import batches
from _turns import Turns, arguments, read_images
from nvidia.dali import fn, pipeline_def, types


@pipeline_def
def decode() -> Any:
    """Encoded files in, pictures of their own sizes out."""
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1, device="cpu")
    return fn.decoders.image(encoded, device="cpu", output_type=types.RGB, jpeg_fancy_upsampling=True)


def open_decoder(*, batch: int, threads: int) -> Any:
    """A pipeline whose `run(encoded=[...])` decodes at most `batch` files."""
    pipeline = decode(batch_size=batch, num_threads=threads, device_id=None, prefetch_queue_depth=1)
    pipeline.build()
    return pipeline


def read(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A file's bytes as DALI takes them."""
    return np.frombuffer(Path(path).read_bytes(), np.uint8)


def main() -> None:
    """Decode batch by batch."""
    turns = Turns()
    parser = arguments(__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    pipeline = open_decoder(batch=given.batch, threads=given.threads)

    def one_pass(paths: Sequence[str]) -> None:
        for batch in batches(paths, given.batch):
            pipeline.run(encoded=[read(path) for path in batch])

    turns.take(read_images(given.images), one_pass)


if __name__ == "__main__":
    main()
