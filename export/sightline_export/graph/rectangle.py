"""What is special about networks that look at a rectangle of the square they are given.

Names in comments as in `steps`; H and W are the rectangle's height and width.
"""

from __future__ import annotations

from typing import Any

from sightline.preprocessing import Preprocessing
from sightline_export.heads import Head
from sightline_export.script import FLOAT, Bytes, Floats, Integers, Integers32, graph_function, op

from .settings import GraphSettings


def cropping(preprocessing: Preprocessing) -> Any:
    """Function that takes the rectangle out of the middle of the square.

    (images uint8 [N, S, S, 3], `contract.RECTANGLE`) to float32 [N, H, W, 3], 0 to 255.
    """
    side, stride = preprocessing.sides

    @graph_function
    def crop(images: Bytes, rectangle: Integers32) -> Floats:
        size_hw = op.Shape(rectangle, start=1, end=3) * op.Constant(value_ints=[stride])
        begin = (op.Constant(value_ints=[side]) - size_hw) / op.Constant(value_ints=[2])
        # The cast comes first because TensorRT takes UINT8 inputs only so.
        return op.Slice(op.Cast(images, to=FLOAT), begin, begin + size_hw, op.Constant(value_ints=[1, 2]))

    return crop


def back_in_square(preprocessing: Preprocessing) -> Any:
    """Function from pixels of the rectangle to pixels of the square: boxes [N, K, 4] to the same."""
    side, stride = preprocessing.sides

    @graph_function
    def move(boxes: Floats, rectangle: Integers32) -> Floats:
        size_hw = op.Shape(rectangle, start=1, end=3) * op.Constant(value_ints=[stride])
        begin = (op.Constant(value_ints=[side]) - size_hw) / op.Constant(value_ints=[2])
        return boxes + op.Cast(op.Gather(begin, op.Constant(value_ints=[1, 0, 1, 0]), axis=0), to=FLOAT)

    return move


def least_candidates(head: Head, settings: GraphSettings) -> int:
    """Candidates of the thinnest rectangle, one stride high; finished detections are always as many."""
    preprocessing = settings.preprocessing
    if preprocessing.kind != "rect" or not head.needs_nms:
        return settings.candidate_count
    side, stride = preprocessing.sides
    return settings.candidate_count * stride // side


def completed(decode: Any, head: Head, *, wanted: int) -> Any:
    """A decoding that adds candidates of score 0 where the raw output has fewer than `wanted`."""
    axis = 1 + head.candidate_axis
    at_its_end = [int(place == 3 + axis) for place in range(6)]

    @graph_function
    def decode_completed(raw: Floats) -> tuple[Floats, Floats, Integers]:
        present = op.Shape(raw, start=axis, end=axis + 1)
        missing = op.Max(op.Constant(value_ints=[wanted]) - present, op.Constant(value_ints=[0]))
        whole = op.Pad(raw, op.Constant(value_ints=at_its_end) * missing, op.Constant(value_float=0.0))
        boxes, scores, classes = decode(whole)
        return boxes, scores, classes

    return decode_completed
