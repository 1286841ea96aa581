"""The steps around the network that are the same for every head, as onnxscript functions.

Names in comments: N images of a batch, A candidates of an image, K detections kept for it, S the input side.
"""

from __future__ import annotations

from typing import Any

import onnx

from sightline.contract import TensorSpec
from sightline.preprocessing import Preprocessing
from sightline_export.pixels import Channels, PixelFormat
from sightline_export.script import FLOAT, INT32, Bytes, Floats, Integers, Integers32, graph_function, op

# Farther from the picture than any box can be, in pixels.
_FARTHEST = 1e6


def fronting(pixels: PixelFormat, images: TensorSpec) -> Any:
    """Function from `images`, NHWC, RGB, 0 to 255, to float32 NCHW as the network wants it."""
    order = [2, 1, 0] if pixels.order == "bgr" else [0, 1, 2]
    divisor = pixels.divisor
    mean, deviation = _per_channel(pixels.mean), _per_channel(pixels.std)

    @graph_function
    def scale_bytes(images: Bytes) -> Floats:
        # The cast comes first because TensorRT takes UINT8 inputs only so.
        as_floats = op.Cast(images, to=FLOAT)
        return op.Transpose(as_floats, perm=[0, 3, 1, 2]) / op.Constant(value_float=divisor)

    # Without a cast from FP32 to FP32, for which OpenVINO would rename the input.
    @graph_function
    def scale_floats(images: Floats) -> Floats:
        return op.Transpose(images, perm=[0, 3, 1, 2]) / op.Constant(value_float=divisor)

    scale = scale_bytes if images.datatype == "UINT8" else scale_floats

    @graph_function
    def reorder_and_scale(images: Bytes) -> Floats:
        return op.Gather(scale(images), op.Constant(value_ints=order), axis=1)

    in_order = scale if pixels.order == "rgb" else reorder_and_scale

    @graph_function
    def normalise(images: Bytes) -> Floats:
        return (in_order(images) - op.Constant(value=mean)) / op.Constant(value=deviation)

    return normalise if pixels.normalises else in_order


def _per_channel(values: Channels) -> onnx.TensorProto:
    return onnx.helper.make_tensor("per_channel", onnx.TensorProto.FLOAT, [1, 3, 1, 1], values)


def to_original(preprocessing: Preprocessing) -> Any:
    """Function from the network's boxes to pixels of the original image, clipped to it.

    (boxes [N, K, 4], original_shape int64 [N, 3] as height, width, channels) to boxes. Where the preprocessing has
    borders, the boxes come in pixels of the square; else as parts of the picture's width and height.
    """
    return unletterboxing(image_size=preprocessing.sides[0]) if preprocessing.has_borders else _scale_up


@graph_function
def _scale_up(boxes: Floats, original_shape: Integers) -> Floats:
    original_hw = op.Cast(original_shape[:, 0:2], to=FLOAT)
    whole = op.Gather(original_hw, op.Constant(value_ints=[1, 0, 1, 0]), axis=1)
    limit = op.Unsqueeze(whole, op.Constant(value_ints=[1]))
    return op.Min(op.Max(boxes * limit, op.Constant(value_float=0.0)), limit)


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
