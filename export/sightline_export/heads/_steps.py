"""Steps of a decoding that several layouts have in common, as graphs."""

from __future__ import annotations

from sightline_export.script import Floats, Integers, graph_function, op


@graph_function
def corners(boxes_xywh: Floats) -> Floats:
    """Centre, width and height [N, A, 4 or more] to x1, y1, x2, y2 [N, A, 4]."""
    centre = boxes_xywh[:, :, 0:2]
    half = boxes_xywh[:, :, 2:4] * op.Constant(value_float=0.5)
    return op.Concat(centre - half, centre + half, axis=-1)


@graph_function
def best_class(by_class: Floats) -> tuple[Floats, Integers]:
    """Of every class's scores [N, A, C]: the highest float32 [N, A], and whose it is int64 [N, A]."""
    scores = op.ReduceMax(by_class, op.Constant(value_ints=[2]), keepdims=0)
    classes = op.ArgMax(by_class, axis=2, keepdims=0)
    return scores, classes
