"""Inputs to try an engine on: the model's own warm-up data, with drawn pictures where it says nothing of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sightline.contract import WARMUP_FOLDER
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
_AXES, _CHANNELS = 3, 3


def sample_inputs(config: Mapping[str, Any], model_folder: Path, batch_size: int = SAMPLE_BATCH_SIZE) -> Arrays:
    """A batch of inputs, the same each time: what the first warm-up request says, and where it is silent drawn pictures.

    What is no picture is random then.

    Args:
        config: the model's configuration as Triton hands it to the backend.
        model_folder: holds the folder of warm-up files.
        batch_size: images, of which the model may take fewer.
    """
    rng = np.random.default_rng(_SEED)
    batch_size = min(batch_size, int(config["max_batch_size"]))
    warmups = config.get("model_warmup", [])
    warmup: Mapping[str, Any] = warmups[0]["inputs"] if warmups else {}
    return {
        tensor["name"]: _values(tensor, warmup.get(tensor["name"], {}), batch_size, model_folder, rng)
        for tensor in config["input"]
    }


def _values(
    tensor: Mapping[str, Any], warmup: Mapping[str, Any], batch_size: int, model_folder: Path, rng: np.random.Generator
) -> Array:
    """One input of `batch_size` rows; of no batch axis at all where that is 0."""
    dtype = np.dtype(DTYPES[tensor["data_type"]])
    dims = [int(size) if int(size) > 0 else 1 for size in warmup.get("dims", tensor["dims"])]
    shape = [batch_size, *dims] if batch_size else dims
    if file := warmup.get("input_data_file"):
        row = np.fromfile(model_folder / WARMUP_FOLDER / file, dtype).reshape(dims)
        return np.ascontiguousarray(np.broadcast_to(row, shape))
    if warmup.get("zero_data"):
        return np.zeros(shape, dtype)
    if _is_picture(dims, dtype):
        return _pictures(max(1, batch_size), (dims[0], dims[1])).astype(dtype).reshape(shape)
    return _random(shape, dtype, rng)


def _is_picture(dims: Sequence[int], dtype: np.dtype[Any]) -> bool:
    """Whether these are the dims of height, width and three colours."""
    return len(dims) == _AXES and dims[-1] == _CHANNELS and dtype in (np.uint8, np.float32)


def _pictures(batch_size: int, size_hw: tuple[int, int]) -> Array:
    """Neighbours differ; from 0 to 255, as the network gets them of its preprocessing."""
    drawn = [draw_picture(size_hw, seed=_SEED + number) for number in range(min(batch_size, SAMPLE_BATCH_SIZE))]
    return np.stack([drawn[number % len(drawn)] for number in range(batch_size)])


def _random(shape: Sequence[int], dtype: np.dtype[Any], rng: np.random.Generator) -> Array:
    if dtype.kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, 2 if dtype.kind == "b" else 100, shape).astype(dtype)
