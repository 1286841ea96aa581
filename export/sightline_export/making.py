"""Makes the served graph of a raw network in one precision, and checks it without a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import onnx

from sightline.contract import SCORE_FLOOR
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError

from .alive import check_alive
from .arithmetic import is_quantised
from .cost import Cost, network_cost
from .graph import GraphSettings, candidate_limit, check_multi_label, compose
from .half_network import half_network
from .options import ExportOptions
from .pictures import Picture, sample_pictures
from .quantise import Calibration, quantise
from .raw import RawNetwork, sha256
from .raw_difference import RawDifference
from .sample import SampleFiles, first_pictures
from .verify import GraphCheck, compare_raw, network_input, probe, verify

_LEAST_PROBED = 2
"""Drawn pictures for networks that take one picture at a time, which are the slow ones."""
_PROBED_SAMPLES = 2


@dataclass(frozen=True)
class Made:
    """A detector that is not installed yet.

    Attributes:
        info: what it tells about itself.
        model: its graph, as an ONNX file holds it.
        check: how the composed graph was compared with plain numpy.
        difference: how far the raw predictions are from the source's own.
        cost: parameters and arithmetic of the network.
    """

    info: DetectorInfo
    model: bytes
    check: GraphCheck
    difference: RawDifference
    cost: Cost


def make_detector(
    raw: RawNetwork,
    options: ExportOptions,
    files: SampleFiles,
    *,
    calibration: Calibration | None,
    progress: Callable[[str], None],
) -> Made:
    """Compose the served graph, and check it without a server.

    Args:
        raw: the network, in FP32.
        options: what is fixed in the export, the precision among it.
        files: images to compare on.
        calibration: pictures that an `int8` network is made for; None quantises nothing.
        progress: is told each step.

    Raises:
        ExportError: the network cannot compute in that precision.
        VerificationError: the graph does not compute what the network does.
        MissingDependencyError: a package that the precision needs is not installed.
    """
    if options.multi_label:
        check_multi_label(raw.head)
    drawn = sample_pictures()[: None if raw.preprocessing.max_batch_size > 1 else _LEAST_PROBED]
    pictures = [*drawn, *first_pictures(files, _PROBED_SAMPLES)]
    raw_outputs = probe(raw, pictures)
    difference = compare_raw(raw, pictures[-(_PROBED_SAMPLES + 1) :], raw_outputs[-(_PROBED_SAMPLES + 1) :])
    check_alive(raw_outputs, raw.head, may_be_empty=raw.score_floor > SCORE_FLOOR)
    cost = network_cost(raw.model, network_input(raw, pictures[0]))
    if calibration is not None:
        progress(f"quantising the network on {len(calibration.files)} pictures ({calibration.scenes} scenes)")
        raw = replace(raw, model=quantise(raw, calibration), versions={**raw.versions, "nncf": version("nncf")})
        raw_outputs = probe(raw, pictures)
        check_alive(raw_outputs, raw.head, may_be_empty=raw.score_floor > SCORE_FLOOR)
    info = _describe(raw, options)
    progress(f"composing the graph ({raw.head.name} head, {len(info.class_names)} classes, {info.preprocessing})")
    candidate_count = _candidates_of_square(raw, pictures[0], raw_outputs[0])
    settings = _settings(raw, info, options, candidate_count=candidate_count)
    served = compose(raw.model, raw.head, settings)
    progress(f"comparing it with the raw network on {len(pictures)} pictures")
    limit = candidate_limit(raw.head, settings)
    check = verify(served, info, pictures, raw_outputs, candidate_limit=limit)
    if options.precision == "fp16":
        served = half_network(served, info, files, progress=progress)
    return Made(info, _serialise(served), check, difference, cost)


def _candidates_of_square(raw: RawNetwork, picture: Picture, output: npt.NDArray[np.float32]) -> int:
    """Candidates of a picture that fills the square, told from what the network says about any picture.

    Of a network that sees rectangles, places are there in proportion to their area.
    """
    count: int = output.shape[raw.head.candidate_axis]
    if raw.preprocessing.kind != "rect" or not raw.head.needs_nms:
        return count
    height, width = raw.preprocessing.seen_hw((picture.shape[0], picture.shape[1]))
    return count * raw.preprocessing.sides[0] ** 2 // (height * width)


def _describe(raw: RawNetwork, options: ExportOptions) -> DetectorInfo:
    own = {package: version(package) for package in ("sightline", "onnx", "onnxscript")}
    return DetectorInfo(
        class_names=raw.class_names,
        preprocessing=raw.preprocessing,
        stride=raw.stride,
        precision=options.precision,
        quantised=is_quantised(raw.model),
        head=raw.head.name,
        score_floor=raw.score_floor,
        iou_threshold=options.iou_threshold,
        max_detections=options.max_detections,
        multi_label=options.multi_label,
        square_because=raw.square_because,
        source=raw.source.name,
        source_sha256=sha256(raw.source) if raw.source.is_file() else "",
        versions={**own, **raw.versions},
    )


def _settings(raw: RawNetwork, info: DetectorInfo, options: ExportOptions, *, candidate_count: int) -> GraphSettings:
    return GraphSettings(
        preprocessing=info.preprocessing,
        pixels=raw.pixels,
        class_count=len(info.class_names),
        candidate_count=candidate_count,
        max_detections=info.max_detections,
        multi_label=info.multi_label,
        iou_threshold=info.iou_threshold,
        score_floor=info.score_floor,
        nms=options.nms_kind,
    )


def _serialise(model: onnx.ModelProto) -> bytes:
    try:
        data: bytes = model.SerializeToString()
    except ValueError as error:
        raise ExportError(f"the graph is larger than an ONNX file can be without side files: {error}") from error
    return data
