"""Inputs to try an engine on: drawn pictures, in which the network is to tell every faint guess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sightline.contract import ORIGINAL_SHAPE, PARAMETER_PREFIX, RECTANGLE, SCORE_THRESHOLD
from sightline.preprocessing import Preprocessing
from sightline_server.drawn import draw_picture
from sightline_server.engines import Array, Arrays

DTYPES = {
    "TYPE_BOOL": np.bool_,
    "TYPE_UINT8": np.uint8,
    "TYPE_INT8": np.int8,
    "TYPE_INT16": np.int16,
    "TYPE_INT32": np.int32,
    "TYPE_INT64": np.int64,
    "TYPE_FP16": np.float16,
    "TYPE_FP32": np.float32,
    "TYPE_FP64": np.float64,
}
"""Element types that the stand-in serves, by their names in `config.pbtxt`."""

SAMPLE_BATCH_SIZE = 2
"""Images in a sample: enough to see that they do not mix."""
_SEED = 20
_PREPROCESSING = f"{PARAMETER_PREFIX}preprocessing"
_PICTURE_AXES, _COLOURS = 3, 3
_SIDE = 640
"""Of a drawn picture, in pixels, where its size varies."""
_ORIGINAL_SHAPE = (360, 480, _COLOURS)
"""Of the image that a picture was before it was brought to size."""


def sample_inputs(config: Mapping[str, Any], batch_size: int = SAMPLE_BATCH_SIZE) -> Arrays:
    """A batch of inputs, the same each time: drawn pictures, and the lowest threshold; what is neither is random.

    It does not ask the model's warm-up, which the gate serves models without.

    Args:
        config: the model's configuration as Triton hands it to the backend.
        batch_size: images, of which the model may take fewer; no batch axis at all where it takes none.
    """
    rng = np.random.default_rng(_SEED)
    batch_size = min(batch_size, int(config["max_batch_size"]))
    tensors = [_with_rectangle(tensor, config) for tensor in config["input"]]
    return {tensor["name"]: _values(tensor, batch_size, rng) for tensor in tensors}


def _with_rectangle(tensor: Mapping[str, Any], config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The tensor itself; of what says by its size which rectangle is to be looked at, with that of the samples."""
    preprocessing = config.get("parameters", {}).get(_PREPROCESSING, {}).get("string_value", "")
    if tensor["name"] != RECTANGLE.name or not preprocessing:
        return tensor
    way = Preprocessing.parse(preprocessing)
    height, width, _ = _ORIGINAL_SHAPE
    return {**tensor, "dims": [side // way.sides[1] for side in way.seen_hw((height, width))]}


def _values(tensor: Mapping[str, Any], batch_size: int, rng: np.random.Generator) -> Array:
    dtype = np.dtype(DTYPES[tensor["data_type"]])
    dims = [int(size) for size in tensor["dims"]]
    if _is_picture(dims, dtype):
        height, width, _ = (size if size > 0 else _SIDE for size in dims)
        rows = _pictures(max(1, batch_size), (height, width)).astype(dtype)
    elif tensor["name"] == ORIGINAL_SHAPE.name:
        rows = np.array([_ORIGINAL_SHAPE] * max(1, batch_size), dtype)
    elif tensor["name"] == SCORE_THRESHOLD.name:
        rows = np.zeros((max(1, batch_size), *dims), dtype)
    else:
        rows = _random((max(1, batch_size), *(max(1, size) for size in dims)), dtype, rng)
    return rows if batch_size else rows[0]


def _is_picture(dims: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether these are the dims of height, width and three colours."""
    return len(dims) == _PICTURE_AXES and dims[-1] == _COLOURS and dtype in (np.uint8, np.float32)


def _pictures(count: int, size_hw: tuple[int, int]) -> Array:
    """Neighbours differ; from 0 to 255, as the network gets them of its preprocessing."""
    drawn = [draw_picture(size_hw, seed=_SEED + number) for number in range(min(count, SAMPLE_BATCH_SIZE))]
    return np.stack([drawn[number % len(drawn)] for number in range(count)])


def _random(shape: Sequence[int], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
