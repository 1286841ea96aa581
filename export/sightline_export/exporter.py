"""From a file to a served detector: load, compose, check, run, install."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from sightline.contract import (
    AUTO_PRECISION,
    DEFAULT_MAX_PIXELS,
    NETWORK_SUFFIX,
    PREPROCESSING_PREFIXES,
    EngineInfo,
    ExportPrecision,
    check_model_name,
)
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError
from sightline.parity import export_bar
from sightline.verification import Verification

from .arithmetic import INT8
from .cost import Cost
from .fastest import Machine, Trial, choose, make_candidates, network_inputs, trials
from .gate import Chain, Gate, Judgement, NewDetector, Progress, pass_gate
from .making import Made, make_detector
from .options import ExportOptions, check_calibration
from .pictures import sample_pictures
from .pixel_limit import standing_limit
from .quantise import Calibration, check_installed, open_calibration
from .raw import RawNetwork
from .raw_difference import RawDifference
from .repository import InstalledDetector, check_free, install_detector
from .sample import SampleFiles, first_pictures, open_sample
from .sources import load
from .verify import GraphCheck


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export made.

    Attributes:
        name: the detector's name.
        info: what it tells about itself, with how it was compared with its source.
        installed: where it stands.
        graph_check: how the composed graph was compared with plain numpy.
        raw_difference: how far the raw predictions are from the source's own.
        cost: parameters and arithmetic of the network.
        engine: what ran the network while it was compared with its source; None where it was not, or the server does
            not tell.
        trials: what became of each precision, where the fastest was asked for.
    """

    name: str
    info: DetectorInfo
    installed: InstalledDetector
    graph_check: GraphCheck
    raw_difference: RawDifference
    cost: Cost
    engine: EngineInfo | None
    trials: tuple[Trial, ...] = ()

    @property
    def verification(self) -> Verification:
        """How the served detector was compared with its source."""
        assert self.info.verification is not None
        return self.info.verification


def export(  # noqa: PLR0913 - what is made of what, where, and how it is judged
    source: Path,
    *,
    repository: Path,
    chain: Chain | None,
    machine: Machine | None = None,
    calibration: Path | None = None,
    sample: Path | None = None,
    min_match: float | None = None,
    name: str | None = None,
    options: ExportOptions | None = None,
    progress: Progress = lambda _: None,
) -> ExportReport:
    """Make a served detector of a checkpoint, an architecture or an ONNX file; on any error nothing is changed.

    Args:
        source: the file; see `sources.load`.
        repository: Triton's folder of models; made if it is missing.
        chain: serves the detector, to compare it with its source before it is installed; None installs it without,
            marked as unverified.
        machine: times what it can compute in; of that the fastest is taken that passes the gate, and the precision of
            `options` does not count. None takes that one.
        calibration: folder of pictures like those that it will see, which an `int8` network is made for.
        sample: folder of images to compare on; None takes the pictures that come with the package.
        min_match: share of the source's detections that must be matched, 0 to 1; None takes the precision's.
        name: the detector's name; None makes one of the file's name.
        options: what is fixed in the export.
        progress: is told each step.

    Raises:
        InvalidOptionError: the name or an option is not allowed.
        CheckpointError: the file cannot be read, or is no detector.
        UnknownHeadError: its output has no known layout.
        VerificationError: what was made does not do what its source does.
        ExportError: the repository cannot be written.
        MissingDependencyError: the export extra is not installed.
    """
    options = options or ExportOptions()
    name = check_model_name(name) if name is not None else default_name(source)
    check_free(repository, name)
    files = open_sample(sample)
    export_bar(options.precision, min_match=min_match)
    check_calibration(options.precision if machine is None else AUTO_PRECISION, calibration)
    gate = Gate(chain=chain, sample=files, min_match=min_match) if chain is not None else None
    if machine is not None and gate is None:
        raise InvalidOptionError("precision 'auto' takes what passes the gate: it cannot be without one")
    looked_at = _look_at(calibration, progress)
    progress(f"reading {source}")
    raw = load(source, options)
    limit = options.max_pixels or standing_limit(repository, raw.preprocessing.model_name) or DEFAULT_MAX_PIXELS
    workshop = _Workshop(name, raw, options, files, looked_at, limit, progress)
    if machine is None or gate is None:
        made, judgement, table = workshop.make_one(gate)
    else:
        made, judgement, table = workshop.make_fastest(gate, machine)
    info = replace(made.info, verification=judgement.verification)
    progress(f"installing {name} in {repository}")
    installed = install_detector(repository, name, made.model, info, max_pixels=options.max_pixels)
    if (change := installed.limit_change) is not None:
        progress(str(change))
    for model, settings in installed.kept_settings.items():
        progress(f"{model} keeps what `sightline tune` gave it: {settings}; `sightline tune {name} --reset` undoes it")
    if installed.groups:
        progress(f"{', '.join(installed.groups)} took over the new {name}")
    if installed.broken_groups:
        progress(
            f"{', '.join(installed.broken_groups)} lacks another member and was left as it is: `sightline check "
            f"{repository}` says more"
        )
    return ExportReport(
        name=name,
        info=info,
        installed=installed,
        graph_check=made.check,
        raw_difference=made.difference,
        cost=made.cost,
        engine=judgement.engine,
        trials=table,
    )


_SKIPPED = Judgement(verification=Verification(outcome="skipped"), engine=None)


@dataclass(frozen=True)
class _Workshop:
    """Makes one network in whatever precision, and has it judged."""

    name: str
    raw: RawNetwork
    options: ExportOptions
    files: SampleFiles
    calibration: Calibration | None
    max_pixels: int
    progress: Progress

    def make_one(self, gate: Gate | None) -> tuple[Made, Judgement, tuple[Trial, ...]]:
        """In the precision of the options."""
        made = self.make(self.options.precision)
        return made, self._judge(made, gate) if gate is not None else _SKIPPED, ()

    def make_fastest(self, gate: Gate, machine: Machine) -> tuple[Made, Judgement, tuple[Trial, ...]]:
        """In the precision that is the fastest of those that pass the gate."""
        made, left_out = make_candidates(self.make, machine, calibrated=self.calibration is not None)
        detectors = {precision: self._detector(each) for precision, each in made.items()}
        (picture,) = first_pictures(self.files, 1) or sample_pictures()[:1]
        self.progress(f"timing {', '.join(detectors)}")
        timings = machine.time(detectors, network_inputs(detectors["fp32"].info, picture))
        taken, judgement, results = choose(timings, lambda each: self._judge(made[each], gate), progress=self.progress)
        table = tuple(trials(timings, {**left_out, **results}))
        for line in ("precision, a picture in one instance, and what became of it:", *map(str, table)):
            self.progress(line)
        return made[taken], judgement, table

    def make(self, precision: ExportPrecision) -> Made:
        """Unjudged."""
        options = replace(self.options, precision=precision)
        calibration = self.calibration if precision == INT8 else None
        return make_detector(self.raw, options, self.files, calibration=calibration, progress=self.progress)

    def _detector(self, made: Made) -> NewDetector:
        arithmetic = INT8 if made.info.quantised else made.info.precision
        return NewDetector(
            name=self.name, model=made.model, info=made.info, arithmetic=arithmetic, max_pixels=self.max_pixels
        )

    def _judge(self, made: Made, gate: Gate) -> Judgement:
        return pass_gate(self._detector(made), self.raw.reference, gate, progress=self.progress)


def _look_at(folder: Path | None, progress: Progress) -> Calibration | None:
    """The pictures to calibrate on, looked at before anything that takes long."""
    if folder is None:
        return None
    check_installed()
    progress(f"looking at the calibration pictures in {folder}")
    return open_calibration(folder, tell=progress)


def default_name(source: Path) -> str:
    """A model name made of the file's: characters that are not allowed become `_`.

    Raises:
        InvalidOptionError: even so it is no model name.
    """
    name = re.sub(r"[^A-Za-z0-9_.]+", "_", source.stem).strip("_.")[:90]
    if not name[:1].isalpha() or name.startswith(PREPROCESSING_PREFIXES):
        name = f"model_{name}".rstrip("_")
    return check_model_name(name.removesuffix(NETWORK_SUFFIX))
