"""The ways of running a detector that this machine has, measured in turns with what the machine can do at most."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sightline.contract import PRECISIONS, Precision
from sightline.errors import SightlineError
from sightline_bench.measure.rounds import Pass, Ratio, take_turns
from sightline_bench.profile.detector import Arrays, Counted, Detector
from sightline_bench.profile.engine_process import Job
from sightline_bench.profile.engines import EngineProcess, Loading
from sightline_bench.profile.peak import Peaks
from sightline_bench.profile.roofline import Roof
from sightline_server.cpu import available_cores
from sightline_server.engine_choice import choose_precision
from sightline_server.engines import openvino_precisions

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What is run.

    Attributes:
        detector: whose graph it is.
        counted: what the graph holds.
        rows: an `.npz` of its inputs.
    """

    detector: Detector
    counted: Counted
    rows: Path

    @property
    def in_graph(self) -> str:
        """The precision that the graph's own types decide, whatever an engine is asked for; empty for none."""
        info = self.detector.info
        return "int8" if info.precision == "int8" or info.quantised else ""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A detector in an engine in a precision.

    Attributes:
        subject: the detector.
        engine: `openvino` or `onnxruntime`.
        precision: of the arithmetic.
        job: how it is run.
        note: why the precision is not the one that was asked for; empty where it is.
    """

    subject: Subject
    engine: str
    precision: str
    job: Job
    note: str = ""

    @property
    def name(self) -> str:
        """Unique."""
        return f"{self.subject.detector.name}, {self.engine} {self.precision}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came out for a variant.

    Attributes:
        variant: which.
        loading: how it loaded.
        milliseconds: for one picture, round by round.
        peak_share: of what the machine did in the same round in its precision, 0 to 1.
    """

    variant: Variant
    loading: Loading
    milliseconds: Ratio
    peak_share: Ratio

    @property
    def images_per_second(self) -> float:
        """One picture after the other."""
        return 1000 / self.milliseconds.median

    @property
    def flops_per_second(self) -> float:
        """What it achieves."""
        return self.variant.subject.counted.cost.flops * self.images_per_second


@dataclass(frozen=True)
class LeftOut:
    """A way that was not measured, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """All ways, and the machine beside them.

    Attributes:
        roof: the most that the machine reached in these rounds.
        peaks: what took part in it: milliseconds of a pass, by name.
        measured: the ways, the detector's own first.
        left_out: the others.
    """

    roof: Roof
    peaks: Mapping[str, Ratio]
    measured: tuple[Measured, ...]
    left_out: tuple[LeftOut, ...]


@contextmanager
def inputs_file(rows: Arrays) -> Iterator[Path]:
    """An `.npz` of rows, for the processes of engines."""
    with tempfile.TemporaryDirectory(prefix="sightline-profile-") as folder:
        file = Path(folder) / "rows.npz"
        np.savez(file, allow_pickle=False, **rows)
        yield file


def variants_of(subject: Subject) -> tuple[list[Variant], list[LeftOut]]:
    """The ways to run a detector here, the one that is served first, and those that this machine lacks.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
    """
    available = openvino_precisions()
    served = choose_precision(subject.detector.info.precision, available)
    found = [_variant(subject, "openvino", served.precision, note=served.reason)]
    left_out = []
    if not subject.in_graph:
        others = [precision for precision in PRECISIONS if precision != served.precision]
        found += [_variant(subject, "openvino", precision) for precision in others if precision in available]
        lacking = [precision for precision in others if precision not in available]
        left_out = [LeftOut(f"openvino {each}", choose_precision(each, available).reason) for each in lacking]
    found.append(_variant(subject, "onnxruntime", "fp32"))
    return found, left_out


def _variant(subject: Subject, engine: str, precision: Precision, *, note: str = "") -> Variant:
    job = Job(
        file=str(subject.detector.network),
        engine=engine,
        precision=precision,
        threads=available_cores(),
        inputs=str(subject.rows),
    )
    return Variant(subject=subject, engine=engine, precision=subject.in_graph or precision, job=job, note=note)


def compare(variants: Sequence[Variant], *, rounds: int, runs: int, progress: Progress) -> Comparison:
    """Have all ways and the machine's peaks take turns; a way that fails is left out, and the first must not.

    Args:
        variants: the ways.
        rounds: turns of each.
        runs: of a network in one turn.
        progress: told what happens.

    Raises:
        MeasurementError: the first way fails, or a matrix product does.
    """
    left_out: list[LeftOut] = []
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sightline-profile-"))
        opened: dict[str, tuple[Variant, EngineProcess]] = {}
        for variant in variants:
            progress(f"loading {variant.name}")
            try:
                process = stack.enter_context(EngineProcess(variant.name, variant.job, runs=runs))
            except SightlineError as error:
                if not opened:
                    raise
                left_out.append(LeftOut(variant.name, str(error)))
                continue
            opened[variant.name] = variant, process
        progress("preparing matrix products and a copy in memory")
        peaks = stack.enter_context(Peaks(Path(folder), threads=available_cores()))
        progress(f"{len(opened)} ways to run it and the machine's peaks take turns, {rounds} rounds")
        passes = take_turns([*peaks.contestants, *(process for _, process in opened.values())], rounds=rounds)
        rates = peaks.rates(passes)
        measured = tuple(
            _judge(variant, process.loading, passes[name], rates) for name, (variant, process) in opened.items()
        )
        machine = {each.name: _milliseconds(passes[each.name]) for each in peaks.contestants}
        return Comparison(peaks.roof(), machine, measured, tuple(left_out))


def _judge(
    variant: Variant, loading: Loading, passes: Sequence[Pass], rates: Sequence[Mapping[str, float]]
) -> Measured:
    flops = variant.subject.counted.cost.flops
    shares = [
        flops / each.seconds / rate.get(variant.precision, rate["fp32"])
        for each, rate in zip(passes, rates, strict=True)
    ]
    return Measured(
        variant=variant, loading=loading, milliseconds=_milliseconds(passes), peak_share=Ratio(tuple(shares))
    )


def _milliseconds(passes: Sequence[Pass]) -> Ratio:
    return Ratio(tuple(each.milliseconds_per_image for each in passes))


def first_that_runs(measured: Sequence[Measured], engine: str) -> Measured | None:
    """The first way with an engine."""
    return next((each for each in measured if each.variant.engine == engine), None)
