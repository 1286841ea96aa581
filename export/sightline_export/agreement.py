"""Whether the graph of a plan finds what the served graph finds, as far as a CPU can tell before a plan is built."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import onnx

from sightline.contract import DEFAULT_SCORE_THRESHOLD, NUM_DETECTIONS, SCORE_FLOOR, PlanPrecision
from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline.errors import ImageError, VerificationError
from sightline.parity import Bar, ParityReport, compare, export_bar
from sightline_export.graph.rounding import with_rounding
from sightline_export.pictures import Picture, served_inputs
from sightline_export.sample import SampleFiles, decode_rgb
from sightline_export.session import Session

_LEAST_SHARE = 0.97
"""Of the served graph's detections. Each operation is rounded by itself here, which makes FP16 look a little worse than
it is where a GPU joins them: of 421 detections of yolov8n in 60 images of COCO, 99.5 % have their partner."""


def agreement_bar(precision: PlanPrecision, min_match: float | None = None) -> Bar:
    """What a plan's graph must reach; `min_match` is the share of detections that must have their partner, 0 to 1.

    Raises:
        InvalidOptionError: the share is out of range.
    """
    return export_bar(precision, min_match=_LEAST_SHARE if min_match is None else min_match)


def check_agreement(
    served: onnx.ModelProto, planned: onnx.ModelProto, info: DetectorInfo, sample: SampleFiles, bar: Bar
) -> ParityReport:
    """Run both graphs on the pictures, with FP16's rounding written down, and compare what they find.

    A detector that was exported in FP16 is rounded on both sides: it was compared with its FP32 graph before.

    Raises:
        VerificationError: the plan's graph finds something else.
    """
    margin = bar.demands[0].score_difference
    lowest = max(info.score_floor, SCORE_FLOOR, DEFAULT_SCORE_THRESHOLD - margin)
    pictures = read_pictures(sample)
    expected = find_all(with_rounding(served) if info.precision == "fp16" else served, info, pictures, lowest)
    report = compare(expected, find_all(with_rounding(planned), info, pictures, lowest), partner_margin=margin)
    verdict = report.judge(bar)
    if verdict.outcome == "failed":
        raise VerificationError(
            f"the graph for the plan does not find what the served one finds: {'; '.join(verdict.reasons)}. Give "
            "pictures of what it was trained for with --sample, build it with --precision fp32, or ask less with "
            "--min-match"
        )
    return report


def read_pictures(sample: SampleFiles) -> dict[str, Picture]:
    """The pictures of a sample by name, without those that no server decodes: they are no reason against a plan."""
    pictures = {}
    for name in sample:
        with contextlib.suppress(ImageError):
            pictures[name] = decode_rgb(sample[name])
    return pictures


def find_all(
    model: onnx.ModelProto, info: DetectorInfo, pictures: Mapping[str, Picture], score_threshold: float
) -> dict[str, Detections]:
    """What a graph finds in each picture, one after the other."""
    session = Session(model)
    return {name: _detect(session, info, picture, score_threshold) for name, picture in pictures.items()}


def _detect(session: Session, info: DetectorInfo, picture: Picture, score_threshold: float) -> Detections:
    outputs = session.run_named(served_inputs([picture], info.preprocessing, [score_threshold]))
    count = int(outputs[NUM_DETECTIONS.name][0, 0])
    boxes, scores, classes = (outputs[name][0, :count] for name in ("boxes", "scores", "classes"))
    return Detections(boxes, scores, classes, info.class_names, (picture.shape[0], picture.shape[1]))
