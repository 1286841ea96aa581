"""`--precision auto`: every precision that this machine offers, timed, and the fastest that passes the gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from sightline.contract import DEFAULT_SCORE_THRESHOLD, EXPORT_PRECISIONS, EngineInfo, ExportPrecision
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError, VerificationError

from .gate import Judgement, NewDetector, Progress
from .pictures import Picture, served_inputs

Made = TypeVar("Made")
_MARGIN = 0.05
"""A coarser precision has to be faster by so much."""


@dataclass(frozen=True)
class Timing:
    """What ran a network, and the median seconds for one picture."""

    engine: EngineInfo
    seconds: float


class Machine(Protocol):
    """Where the detector will be served."""

    def lacks(self, precision: ExportPrecision) -> str:
        """Why it does not compute in a precision; empty where it does."""

    def time(
        self, detectors: Mapping[ExportPrecision, NewDetector], inputs: Mapping[str, npt.NDArray[Any]]
    ) -> Mapping[ExportPrecision, Timing]:
        """How long each network takes for the inputs as one of its served instances; they take turns.

        Raises:
            LaunchError: an engine cannot load a network.
        """


@dataclass(frozen=True)
class Trial:
    """What became of one precision.

    Attributes:
        precision: which.
        timing: None where it was not run.
        result: `taken`, or why not.
    """

    precision: ExportPrecision
    timing: Timing | None
    result: str

    def __str__(self) -> str:
        ran = f"{1e3 * self.timing.seconds:8.1f} ms" if self.timing is not None else f"{'-':>11}"
        return f"  {self.precision:<5}{ran}   {self.result}"


def network_inputs(info: DetectorInfo, picture: Picture) -> dict[str, npt.NDArray[Any]]:
    """What the served network gets of one picture."""
    return served_inputs([picture], info.preprocessing, [DEFAULT_SCORE_THRESHOLD])


def make_candidates(
    make: Callable[[ExportPrecision], Made], machine: Machine, *, calibrated: bool
) -> tuple[dict[ExportPrecision, Made], dict[ExportPrecision, str]]:
    """What `make` makes in each precision that the machine has, and why there is none in the others."""
    made: dict[ExportPrecision, Made] = {}
    left_out: dict[ExportPrecision, str] = {}
    for precision in EXPORT_PRECISIONS:
        if reason := machine.lacks(precision):
            left_out[precision] = f"not tried: {reason}"
        elif precision == "int8" and not calibrated:
            left_out[precision] = "not tried: it needs pictures, with --calibration FOLDER"
        elif precision == "fp32":
            made[precision] = make(precision)
        else:
            try:
                made[precision] = make(precision)
            except ExportError as error:
                left_out[precision] = f"not made: {error}"
    return made, left_out


def choose(
    timings: Mapping[ExportPrecision, Timing], judge: Callable[[ExportPrecision], Judgement], *, progress: Progress
) -> tuple[ExportPrecision, Judgement, dict[ExportPrecision, str]]:
    """The fastest that passes the gate, what the gate says of it, and what became of each.

    Where none passes because the sample holds too little to judge by, it is `fp32`, unverified.

    Raises:
        VerificationError: what the gate says of `fp32`, where none passes.
    """
    results: dict[ExportPrecision, str] = {}
    taken: tuple[ExportPrecision, Judgement] | None = None
    for precision in _fastest_first(timings):
        if taken is not None:
            results[precision] = f"slower than {taken[0]}, or not {_MARGIN:.0%} faster"
            continue
        progress(f"judging {precision}, {1e3 * timings[precision].seconds:.1f} ms for a picture")
        try:
            judgement = judge(precision)
        except VerificationError as error:
            results[precision] = f"failed the gate: {error}"
            if precision == "fp32":
                raise
            continue
        if judgement.verification.verified or precision == "fp32":
            taken = precision, judgement
            results[precision] = f"taken: {judgement.verification}"
        else:
            results[precision] = f"did not pass the gate: {judgement.verification}"
    assert taken is not None, "fp32 is always among them"
    return *taken, results


def _fastest_first(timings: Mapping[ExportPrecision, Timing]) -> list[ExportPrecision]:
    def key(precision: ExportPrecision) -> float:
        return timings[precision].seconds * (1 if precision == "fp32" else 1 + _MARGIN)

    return sorted(timings, key=key)


def trials(timings: Mapping[ExportPrecision, Timing], results: Mapping[ExportPrecision, str]) -> Iterator[Trial]:
    """One of each precision, in the contract's order."""
    for precision in EXPORT_PRECISIONS:
        yield Trial(precision, timings.get(precision), results[precision])
