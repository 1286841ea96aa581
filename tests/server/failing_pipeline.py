"""A preprocessing model whose pipeline fails on files above a size, in the words that DALI has for what GPUs do."""

from __future__ import annotations

from pathlib import Path

_TEXT = """
import numpy as np
from nvidia.dali import fn, pipeline_def, types
from nvidia.dali.plugin.triton import autoserialize

def compute(encoded):
    if len(encoded) > {above_bytes}:
        raise RuntimeError({words!r})
    return np.zeros(({side}, {side}, 3), np.uint8), np.array([1, 1, 3])

@autoserialize
@pipeline_def(batch_size=4, num_threads=1, device_id=None, prefetch_queue_depth=1)
def preprocess():
    encoded = fn.external_source(name="encoded", dtype=types.UINT8, ndim=1)
    images, original_shapes = fn.python_function(encoded, function=compute, num_outputs=2)
    return images, original_shapes
"""


def write(file: Path, *, words: str, above_bytes: int, side: int = 8) -> None:
    """Write its `dali.py`, which gives black squares of `side` pixels."""
    file.write_text(_TEXT.format(words=words, above_bytes=above_bytes, side=side))
