"""The gate: a served detector must find what its source finds, or it is not installed."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from sightline.contract import DEFAULT_SCORE_THRESHOLD, EngineInfo
from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline.errors import ImageError, InvalidOptionError, VerificationError
from sightline.parity import Bar, Demand, ParityReport, Tally, Verdict, compare, export_bar
from sightline.verification import Verification

from .raw import SourceDetector
from .repository import install_detector
from .sample import SampleFiles, decode_rgb

Progress = Callable[[str], None]
"""Is told, in a few words, what begins."""

_PROGRESS_STEP = 50
_NAMED_IMAGES = 5


class ServedDetector(Protocol):
    """A detector that is being served."""

    @property
    def engine(self) -> EngineInfo | None:
        """What runs its network; None where the server does not tell."""

    def detect(self, files: Mapping[str, bytes], *, score_threshold: float) -> dict[str, Detections | ImageError]:
        """What it finds in image files, or why it refuses one, by the files' names.

        Raises:
            VerificationError: a model fails.
        """


class Chain(Protocol):
    """The served chain: a Triton that loads a detector's three models, gets encoded bytes and gives boxes."""

    def serve(self, repository: Path, name: str) -> AbstractContextManager[ServedDetector]:
        """The detector `name` of a repository, served until the end of the context.

        Raises:
            VerificationError: a model does not load.
        """


@dataclass(frozen=True, kw_only=True)
class NewDetector:
    """What is to be installed.

    Attributes:
        name: the detector's name.
        model: its ONNX graph.
        info: what it tells about itself.
        arithmetic: how coarsely it computes, a key of `parity.PRECISION_DEMANDS`.
        max_pixels: largest width x height that its preprocessing decodes.
    """

    name: str
    model: bytes
    info: DetectorInfo
    arithmetic: str
    max_pixels: int


@dataclass(frozen=True, kw_only=True)
class Gate:
    """How a new detector is judged.

    Attributes:
        chain: serves it.
        sample: image files; those that cannot be decoded are left out.
        min_match: share of the source's detections that must be matched, 0 to 1; None takes that of the
            detector's arithmetic.
    """

    chain: Chain
    sample: SampleFiles
    min_match: float | None = None


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What came of it.

    Attributes:
        verification: how the detector was compared with its source.
        engine: what ran its network meanwhile; None where the server does not tell.
    """

    verification: Verification
    engine: EngineInfo | None


def pass_gate(detector: NewDetector, reference: SourceDetector, gate: Gate, *, progress: Progress) -> Judgement:
    """Compare what the served detector and its source find in a sample.

    Both are asked for detections a little below the threshold too: those are only there as partners for such as are
    above it on the other side. The detector is loaded before the source runs, which takes long: one that does not even
    load is refused at once.

    Args:
        detector: nothing of it is installed here.
        reference: its source.
        gate: how it is judged.
        progress: is told each step.

    Raises:
        VerificationError: it finds something else, or does not load.
        InvalidOptionError: no image of the sample can be used, or `min_match` is out of range.
    """
    bar = export_bar(detector.arithmetic, min_match=gate.min_match)
    (demand,) = bar.demands
    sample = gate.sample
    lowest = max(detector.info.score_floor, DEFAULT_SCORE_THRESHOLD - demand.score_difference)
    progress(f"serving {detector.name} with an embedded Triton")
    with _serving(gate.chain, detector) as served:
        progress(f"running the source ({reference.description}) on {len(sample)} images")
        expected = _run_source(reference, detector, sample, score_threshold=lowest, progress=progress)
        progress(f"running the served detector on {len(expected)} images")
        found, refused = _split(served.detect(sample.only(list(expected)), score_threshold=lowest))
        engine = served.engine
    _tell_left_out(refused, "which the served chain refuses", progress)
    _check_any(found, sample)
    report = compare({name: expected[name] for name in found}, found, partner_margin=demand.score_difference)
    verification = _conclude(report, bar, demand)
    if engine is not None:
        verification = _with_precision(verification, asked=detector.info.precision, ran=engine.precision)
    return Judgement(verification=verification, engine=engine)


def _with_precision(verification: Verification, *, asked: str, ran: str) -> Verification:
    """Nobody has seen what it does in the arithmetic that it asks for if it ran in another."""
    outcome = "inconclusive" if ran != asked and verification.verified else verification.outcome
    return replace(verification, outcome=outcome, precision=ran)


def _run_source(
    reference: SourceDetector,
    detector: NewDetector,
    sample: SampleFiles,
    *,
    score_threshold: float,
    progress: Progress,
) -> dict[str, Detections]:
    """What the source finds in each image that can be decoded."""
    found: dict[str, Detections] = {}
    refused: dict[str, ImageError] = {}
    for number, name in enumerate(sample, start=1):
        try:
            picture = decode_rgb(sample[name], max_pixels=detector.max_pixels)
        except ImageError as error:
            refused[name] = error
            continue
        came = reference.detect(picture, score_threshold=score_threshold)
        found[name] = Detections(
            np.asarray(came.boxes_xyxy, np.float32).reshape(-1, 4),
            np.asarray(came.scores, np.float32),
            np.asarray(came.class_ids, np.int32),
            detector.info.class_names,
            (picture.shape[0], picture.shape[1]),
        )
        if number % _PROGRESS_STEP == 0 and number < len(sample):
            progress(f"  {number} of {len(sample)} images")
    _tell_left_out(refused, "which cannot be decoded", progress)
    _check_any(found, sample)
    return found


@contextmanager
def _serving(chain: Chain, detector: NewDetector) -> Iterator[ServedDetector]:
    with tempfile.TemporaryDirectory(prefix="sightline-gate-") as folder:
        repository = Path(folder)
        install_detector(repository, detector.name, detector.model, detector.info, max_pixels=detector.max_pixels)
        with chain.serve(repository, detector.name) as served:
            yield served


def _split(
    served: Mapping[str, Detections | ImageError],
) -> tuple[dict[str, Detections], dict[str, ImageError]]:
    found = {name: each for name, each in served.items() if isinstance(each, Detections)}
    refused = {name: each for name, each in served.items() if isinstance(each, ImageError)}
    return found, refused


def _tell_left_out(refused: Mapping[str, ImageError], why: str, progress: Progress) -> None:
    if refused:
        named = "; ".join(f"{name}: {error}" for name, error in list(refused.items())[:_NAMED_IMAGES])
        more = f"; and {len(refused) - _NAMED_IMAGES} more" if len(refused) > _NAMED_IMAGES else ""
        progress(f"left out {len(refused)} of the sample's files, {why}: {named}{more}")


def _check_any(found: Mapping[str, object], sample: SampleFiles) -> None:
    if not found:
        raise InvalidOptionError(
            f"none of the {len(sample)} files of the sample {str(sample.folder)!r} is an image that can be compared "
            "on; give a folder of photos with --sample"
        )


def _conclude(report: ParityReport, bar: Bar, demand: Demand) -> Verification:
    """The record of a comparison that did not fail.

    Raises:
        VerificationError: it failed.
    """
    verdict = report.judge(bar)
    tally = report.tally(demand)
    verification = Verification(
        outcome="passed" if verdict.outcome == "passed" else "inconclusive",
        images=report.images,
        reference=report.reference,
        matched=tally.matched,
        missing=tally.missing,
        extra=tally.extra,
        worst_iou=report.worst_iou,
        worst_score_difference=report.worst_score_difference,
        min_match=demand.share,
    )
    if verdict.outcome == "inconclusive" and _is_hopeless(tally, bar):
        # The same judgement without the least number, for the reasons in words.
        verdict = report.judge(Bar(demands=bar.demands, max_extra_share=bar.max_extra_share, minimum_reference=1))
        verdict = verdict if verdict.outcome == "failed" else Verdict("failed", (f"{tally.extra} extra detections",))
    if verdict.outcome == "failed":
        raise VerificationError(
            f"the served detector is not what it was exported from: {verification.counts}. "
            f"{'; '.join(verdict.reasons)}. Nothing was installed"
        )
    return verification


def _is_hopeless(tally: Tally, bar: Bar) -> bool:
    """Whether so few detections show more differences already than the bar allows among the least number."""
    allowed = bar.allowed_extra(bar.minimum_reference)
    return allowed is not None and max(tally.missing, tally.extra) > allowed
