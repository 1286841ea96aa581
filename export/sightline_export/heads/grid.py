"""`[N, A, 5 + classes]` of YOLOX, where each box is still written relative to its cell of the grid.

The decoding is that of the paper's section 2.1 (anchor-free, arXiv 2107.08430): a cell predicts the offset of the
centre from its own upper left corner and the logarithm of width and height, all in units of its stride.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from onnx import numpy_helper

from sightline_export.script import Floats, Integers, graph_function, op

from ._head import Candidates, Head
from .anchors_first import WITH_OBJECTNESS, best_with_objectness

STRIDES = (8, 16, 32)
"""Pixels between the cells of each scale, in the order in which the scales follow one another."""
_CELLS_OF_ONE = sum((max(STRIDES) // stride) ** 2 for stride in STRIDES)
"""Cells of all scales for an input that is as large as the largest stride."""


def input_size(candidates: int) -> int | None:
    """Side of the square input whose grids have so many cells, in pixels; None where there is none."""
    multiple = math.isqrt(candidates // _CELLS_OF_ONE)
    return max(STRIDES) * multiple if multiple and multiple**2 * _CELLS_OF_ONE == candidates else None


def _decoding(candidates: int) -> object:
    size = input_size(candidates)
    assert size is not None, "recognised by this number"
    corners, strides = _cells(size)
    corner_pixels = numpy_helper.from_array(corners[None])
    stride_pixels = numpy_helper.from_array(strides[None, :, None])

    @graph_function
    def decode(raw: Floats) -> tuple[Floats, Floats, Integers]:
        stride = op.Constant(value=stride_pixels)
        centre = raw[:, :, 0:2] * stride + op.Constant(value=corner_pixels)
        half = op.Exp(raw[:, :, 2:4]) * stride * op.Constant(value_float=0.5)
        boxes = op.Concat(centre - half, centre + half, axis=-1)
        scores, classes = best_with_objectness(raw)
        return boxes, scores, classes

    return decode


def _cells(size: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Upper left corners (A, 2) and strides (A,) of all cells, in pixels; rows from the top, each from the left."""
    corners, strides = [], []
    for stride in STRIDES:
        side = size // stride
        index = np.arange(side * side)
        corners.append(np.stack([index % side, index // side], axis=1) * stride)
        strides.append(np.full(side * side, stride))
    return np.concatenate(corners).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _decode_numpy(raw: npt.NDArray[np.float32]) -> Candidates:
    size = input_size(len(raw))
    assert size is not None, "recognised by this number"
    boxes, start = np.empty((len(raw), 4)), 0
    for stride in STRIDES:
        side = size // stride
        scale = raw[start : start + side * side, :4].astype(np.float64).reshape(side, side, 4)
        rows, columns = np.mgrid[:side, :side]
        centre = scale[..., :2] + np.stack([columns, rows], axis=-1)
        # What a broken network gives becomes an infinite box, which is dropped later.
        with np.errstate(over="ignore"):
            extent = np.exp(scale[..., 2:])
        boxes[start : start + side * side] = (np.concatenate([centre, extent], axis=-1) * stride).reshape(-1, 4)
        start += side * side
    return Candidates.with_best_class(boxes.astype(np.float32), raw[:, 5:] * raw[:, 4:5])


def _class_count(dims: tuple[int, int]) -> int | None:
    cells, channels = dims
    return channels - 5 if 5 < channels < cells and input_size(cells) is not None else None


GRID = Head(
    name="grid",
    layout="[N, A, 5 + classes]: offset of the centre from its cell, logarithm of width and height, both in strides of "
    "8, 16 and 32 pixels, objectness, then a score per class (YOLOX without its own decoding)",
    needs_nms=True,
    candidate_axis=0,
    decoding=_decoding,
    decode_numpy=_decode_numpy,
    class_count=_class_count,
    by_class=WITH_OBJECTNESS,
    any_size=False,
)
