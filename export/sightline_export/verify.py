"""Runs what was made, and compares it with what it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from sightline.contract import (
    DEFAULT_SCORE_THRESHOLD,
    NUM_DETECTIONS,
    PADDING_CLASS,
    SCORE_FLOOR,
    detection_outputs,
)
from sightline.detector_info import DetectorInfo
from sightline.errors import VerificationError
from sightline.preprocessing import Preprocessing

from .pictures import Picture, preprocess, served_inputs
from .raw import RawNetwork
from .raw_difference import RAW_TOLERANCE, RawDifference, check_raw_difference, raw_difference
from .reference import Found, detect
from .session import Session

Array = npt.NDArray[np.float32]

_BOX_TOLERANCE_PIXELS = 0.1
_SCORE_TOLERANCE = 1e-4
_LEAST_AGREEMENT = 0.99
"""Two boxes whose IoU is the threshold to the last bit may fall on either side, and take others with them."""
_LAST_DIGITS = 2.0**-20
"""As a part of a value: what rounding has done to it after some ten operations in FP32."""
_LARGEST_FRACTION = 2
"""No coordinate of any box found lies beyond it: then they are parts of the picture's side, not pixels."""
_THRESHOLDS = (SCORE_FLOOR, DEFAULT_SCORE_THRESHOLD, float("nan"), 2.0)


@dataclass(frozen=True)
class GraphCheck:
    """How the composed graph was compared with plain numpy behind the raw network.

    Attributes:
        pictures: how many.
        reference_detections: detections in them, according to the raw network and plain numpy.
        matched: how many of them the served graph gives as well.
    """

    pictures: int
    reference_detections: int
    matched: int


def probe(raw: RawNetwork, pictures: Sequence[Picture]) -> list[npt.NDArray[np.float32]]:
    """The raw network's output for each picture, letterboxed, without the batch axis; float32.

    Raises:
        VerificationError: it does not run, or its outputs have the right shape but another meaning.
    """
    session = Session(raw.model)
    outputs = [np.asarray(session.run([network_input(raw, picture)])[0][0], dtype=np.float32) for picture in pictures]
    check_raw_values(outputs, raw)
    return outputs


def network_input(raw: RawNetwork, picture: Picture) -> npt.NDArray[np.float32]:
    """What the raw network takes of one picture; float32 [1, 3, H, W]."""
    return raw.pixels.apply(preprocess(picture, raw.preprocessing))[None]


def compare_raw(
    raw: RawNetwork, pictures: Sequence[Picture], raw_outputs: Sequence[npt.NDArray[np.float32]]
) -> RawDifference:
    """How far the raw predictions are from the source's own.

    Args:
        raw: the network, and its source.
        pictures: of any sizes.
        raw_outputs: what `probe` gave for them.

    Raises:
        VerificationError: further than rounding explains.
    """
    inputs = [network_input(raw, each) for each in pictures]
    source = [_source_raw(raw, each) for each in inputs]
    difference = raw_difference(source, raw_outputs, raw.head)
    rounding = _own_rounding(raw, inputs, source) if difference.worst > RAW_TOLERANCE else 0.0
    check_raw_difference(difference, rounding=rounding)
    return difference


def _own_rounding(raw: RawNetwork, inputs: Sequence[Array], source: Sequence[Array]) -> float:
    """By how much the source's own raw output moves when its inputs do in their last digits."""
    random = np.random.default_rng(0)
    moved = [each * (1 + _LAST_DIGITS * random.uniform(-1, 1, each.shape)).astype(np.float32) for each in inputs]
    return raw_difference(source, [_source_raw(raw, each) for each in moved], raw.head).worst


def _source_raw(raw: RawNetwork, images: Array) -> Array:
    return np.asarray(raw.reference.raw(images)[0], dtype=np.float32)


def verify(
    served: onnx.ModelProto,
    info: DetectorInfo,
    pictures: Sequence[Picture],
    raw_outputs: Sequence[npt.NDArray[np.float32]],
    *,
    candidate_limit: int,
) -> GraphCheck:
    """Run the served graph on a batch of all pictures and on one alone, and compare with the raw outputs.

    Args:
        served: the composed graph.
        info: the numbers that are fixed in it.
        pictures: uint8 (height, width, 3), of any sizes.
        raw_outputs: what `probe` gave for them.
        candidate_limit: best candidates per image that the graph looks at: see `graph.candidate_limit`.

    Raises:
        VerificationError: outputs have wrong shapes or values, or other detections than the reference.
    """
    session = Session(served)
    thresholds = [_THRESHOLDS[i % len(_THRESHOLDS)] for i in range(len(pictures))]
    counts = []
    for batch in _batches(pictures, info.preprocessing):
        outputs = _run(session, info, [pictures[i] for i in batch], [thresholds[i] for i in batch])
        for i, came in zip(batch, outputs, strict=True):
            wanted = detect(
                raw_outputs[i],
                info=info,
                image_size_hw=(pictures[i].shape[0], pictures[i].shape[1]),
                score_threshold=thresholds[i],
                candidate_limit=candidate_limit,
            )
            counts.append((len(wanted.scores), _matched(came, wanted, where=f"picture {i} of {len(batch)}")))
    return GraphCheck(len(pictures), sum(count for count, _ in counts), sum(matched for _, matched in counts))


def _batches(pictures: Sequence[Picture], preprocessing: Preprocessing) -> list[list[int]]:
    """All that a network sees in one size at once, and the first alone; each alone where there are no batches."""
    if preprocessing.max_batch_size == 1:
        return [[index] for index in range(len(pictures))]
    alike: dict[tuple[int, int], list[int]] = {}
    for index, picture in enumerate(pictures):
        alike.setdefault(preprocessing.seen_hw((picture.shape[0], picture.shape[1])), []).append(index)
    return [*alike.values(), [0]]


def check_raw_values(outputs: Sequence[npt.NDArray[np.float32]], raw: RawNetwork) -> None:
    """Refuse outputs that have the right shape but another meaning.

    Boxes and classes are judged where something was found in any of the pictures: the rest may be padding.

    Args:
        outputs: of each picture, without the batch axis.
        raw: the network that gave them.

    Raises:
        VerificationError: numbers are missing, scores are no probabilities, boxes are not in pixels, or a
            class has no name.
    """
    if not all(np.isfinite(output).all() for output in outputs):
        raise VerificationError("the network's output holds NaN or infinity for an ordinary picture")
    head = raw.head
    candidates = [head.decode_numpy(output) for output in outputs]
    scores = np.concatenate([each.scores for each in candidates])
    lowest, highest = float(scores.min()), float(scores.max())
    if lowest < -1e-3 or highest > 1 + 1e-3:
        raise VerificationError(
            f"scores lie from {lowest:.3g} to {highest:.3g}, not from 0 to 1: this output holds logits, or has another "
            f"layout than {head.name} ({head.layout}); export it with its sigmoid, or choose with --family"
        )
    found = scores > SCORE_FLOOR
    if found.any():
        _check_found(
            np.concatenate([each.boxes_xyxy for each in candidates])[found],
            np.concatenate([each.class_ids for each in candidates])[found],
            raw,
        )


def _check_found(boxes_xyxy: npt.NDArray[np.float32], class_ids: npt.NDArray[np.int64], raw: RawNetwork) -> None:
    largest = float(np.abs(boxes_xyxy).max())
    came, wanted = "are fractions", "pixels of the input"
    if not raw.preprocessing.has_borders:
        came, wanted = "are pixels", "fractions of the picture"
    if (largest <= _LARGEST_FRACTION) == raw.preprocessing.has_borders:
        raise VerificationError(
            f"box coordinates reach {largest:.3g}: they {came}, where a {raw.head.name} head has {wanted}; choose with "
            "--family"
        )
    if (highest_class := int(class_ids.max())) >= len(raw.class_names):
        raise VerificationError(
            f"the output names class {highest_class}, but there are only {len(raw.class_names)} class names; give all "
            "of them with --classes"
        )


def _run(session: Session, info: DetectorInfo, pictures: Sequence[Picture], thresholds: Sequence[float]) -> list[Found]:
    """What the served graph finds in each picture; its outputs are checked for shape and sanity."""
    outputs = session.run_named(served_inputs(pictures, info.preprocessing, thresholds))
    for spec in detection_outputs(info.max_detections):
        output = outputs[spec.name]
        wanted = (len(pictures), *spec.dims)
        if output.shape != wanted or output.dtype != spec.dtype:
            raise VerificationError(f"{spec.name} is {output.dtype} {output.shape}, not {spec.dtype} {wanted}")
        if not np.isfinite(output).all():
            raise VerificationError(f"{spec.name} holds NaN or infinity")
    return [_image(outputs, index) for index in range(len(pictures))]


def _image(outputs: dict[str, npt.NDArray[Any]], index: int) -> Found:
    count = int(outputs[NUM_DETECTIONS.name][index, 0])
    boxes, scores, classes = (outputs[name][index] for name in ("boxes", "scores", "classes"))
    if (scores[count:] != 0).any() or (classes[count:] != PADDING_CLASS).any() or (boxes[count:] != 0).any():
        raise VerificationError("slots beyond num_detections are not empty")
    return Found(boxes[:count], scores[:count], classes[:count])


def _matched(came: Found, wanted: Found, *, where: str) -> int:
    """How many of the wanted detections came.

    Raises:
        VerificationError: too few, or too many others.
    """
    free = list(range(len(came.scores)))
    for box, score, class_id in zip(wanted.boxes_xyxy, wanted.scores, wanted.class_ids, strict=True):
        same = (i for i in free if came.class_ids[i] == class_id and abs(came.scores[i] - score) <= _SCORE_TOLERANCE)
        near = (i for i in same if np.abs(came.boxes_xyxy[i] - box).max() <= _BOX_TOLERANCE_PIXELS)
        if (partner := next(near, None)) is not None:
            free.remove(partner)
    matched = len(came.scores) - len(free)
    if matched < _LEAST_AGREEMENT * max(len(wanted.scores), len(came.scores)):
        raise VerificationError(
            f"{where}: the served graph gives {len(came.scores)} detections, the raw network with plain NMS gives "
            f"{len(wanted.scores)}, and {matched} are the same"
        )
    return matched
