"""The steps around the network that are the same for every head, as onnxscript functions.

Names in comments: N images of a batch, A candidates of an image, K detections kept for it, S the input side.
"""

from __future__ import annotations

from typing import Any

from sightline_export.script import FLOAT, INT32, Bytes, Floats, Integers, Integers32, graph_function, op

# Farther from the picture than any box can be, in pixels.
_FARTHEST = 1e6


@graph_function
def front(images: Bytes) -> Floats:
    """uint8 NHWC, 0 to 255, to float32 NCHW, 0 to 1."""
    # The cast comes first because TensorRT takes UINT8 inputs only so.
    pixels = op.Cast(images, to=FLOAT)
    return op.Transpose(pixels, perm=[0, 3, 1, 2]) / op.Constant(value_float=255.0)


def thresholding(*, score_floor: float) -> Any:
    """Function that drops what is below its image's threshold or is no number.

    (boxes [N, A, 4], scores [N, A], threshold [N, 1]) to (boxes, scores) where the dropped have score 0. Only an
    image's own values decide, so that no request and no broken picture can harm its neighbours. Dropping before
    suppression gives the same set as dropping after it, since a weaker box never suppresses a stronger one.
    """

    @graph_function
    def threshold_candidates(boxes: Floats, scores: Floats, score_threshold: Floats) -> tuple[Floats, Floats]:
        floor = op.Constant(value_float=score_floor)
        # NaN is not >= anything, so it becomes the floor as negative numbers do.
        threshold = op.Where(score_threshold >= floor, score_threshold, floor)
        # The sum is below the limit only if every coordinate is, and for NaN it is not.
        reach = op.ReduceSum(op.Abs(boxes), op.Constant(value_ints=[2]), keepdims=0)
        sound = reach < op.Constant(value_float=_FARTHEST)
        finite = op.And(sound, scores < op.Constant(value_float=_FARTHEST))
        keep = op.And(finite, scores >= threshold)
        zero = op.Constant(value_float=0.0)
        one = op.Constant(value_float=1.0)
        kept_scores = op.Where(keep, op.Min(scores, one), zero)
        kept_boxes = op.Where(op.Unsqueeze(keep, op.Constant(value_ints=[2])), boxes, zero)
        low = kept_boxes[:, :, 0:2]
        # A box whose corners stand the wrong way round has no area.
        high = op.Max(kept_boxes[:, :, 2:4], low)
        return op.Concat(low, high, axis=-1), kept_scores

    return threshold_candidates


def selecting(*, count: int) -> Any:
    """Function that takes the best `count` candidates of each image, best first.

    (boxes [N, A, 4], scores [N, A], classes [N, A]) to (boxes [N, K, 4], scores [N, K], classes [N, K]).
    """

    @graph_function
    def select(boxes: Floats, scores: Floats, classes: Integers) -> tuple[Floats, Floats, Integers]:
        best_scores, index = op.TopK(scores, op.Constant(value_ints=[count]), axis=1, largest=1, sorted=1)
        best_boxes = op.GatherND(boxes, op.Unsqueeze(index, op.Constant(value_ints=[2])), batch_dims=1)
        best_classes = op.GatherElements(classes, index, axis=1)
        return best_boxes, best_scores, best_classes

    return select


def unletterboxing(*, image_size: int) -> Any:
    """Function from input pixels to pixels of the original image, clipped to it.

    (boxes [N, K, 4], original_shape int64 [N, 3] as height, width, channels) to boxes. The sides are rounded half
    to even and are at least 1 pixel, and each axis has its own scale, as in `sightline.boxes.letterbox`; FP32 gives
    the same as its FP64 but for about one in 100,000 sizes above 2,200 pixels, which are then half a pixel of the
    input off.
    """
    side = float(image_size)

    @graph_function
    def unletterbox(boxes: Floats, original_shape: Integers) -> Floats:
        one = op.Constant(value_float=1.0)
        axis_1 = op.Constant(value_ints=[1])
        original_hw = op.Max(op.Cast(original_shape[:, 0:2], to=FLOAT), one)
        gain = op.Constant(value_float=side) / op.ReduceMax(original_hw, axis_1, keepdims=1)
        resized_hw = op.Max(op.Round(original_hw * gain), one)
        half_border = (op.Constant(value_float=side) - resized_hw) / op.Constant(value_float=2.0)
        border_hw = op.Round(half_border - op.Constant(value_float=0.1))
        yx_to_xyxy = op.Constant(value_ints=[1, 0, 1, 0])
        offset = op.Unsqueeze(op.Gather(border_hw, yx_to_xyxy, axis=1), axis_1)
        limit = op.Unsqueeze(op.Gather(original_hw, yx_to_xyxy, axis=1), axis_1)
        gain_hw = resized_hw / original_hw
        unclipped = (boxes - offset) / op.Unsqueeze(op.Gather(gain_hw, yx_to_xyxy, axis=1), axis_1)
        return op.Min(op.Max(unclipped, op.Constant(value_float=0.0)), limit)

    return unletterbox


def finishing(*, missing: int) -> Any:
    """Function that fills the empty slots and adds `missing` more of them.

    (boxes [N, K, 4], scores [N, K], classes [N, K]) to the outputs of the contract.
    """

    @graph_function
    def finish(boxes: Floats, scores: Floats, classes: Integers) -> tuple[Integers32, Floats, Floats, Integers32]:
        zero = op.Constant(value_float=0.0)
        present = scores > zero
        num_detections = op.ReduceSum(op.Cast(present, to=INT32), op.Constant(value_ints=[1]), keepdims=1)
        own_boxes = op.Where(op.Unsqueeze(present, op.Constant(value_ints=[2])), boxes, zero)
        own_classes = op.Where(present, op.Cast(classes, to=INT32), op.Cast(op.Constant(value_int=-1), to=INT32))
        row = op.Constant(value_ints=[0, 0, 0, missing])
        padded_boxes = op.Pad(own_boxes, op.Constant(value_ints=[0, 0, 0, 0, missing, 0]), zero)
        padded_scores = op.Pad(scores, row, zero)
        padded_classes = op.Pad(own_classes, row, op.Cast(op.Constant(value_int=-1), to=INT32))
        return num_detections, padded_boxes, padded_scores, padded_classes

    return finish
