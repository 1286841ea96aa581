"""From a file to a served detector: load, compose, check, run, install."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import onnx

from sightline.contract import NETWORK_SUFFIX, PREPROCESSING_PREFIXES, check_model_name
from sightline.detector_info import DetectorInfo
from sightline.errors import ExportError

from .graph import GraphSettings, compose
from .options import ExportOptions
from .pictures import sample_pictures
from .raw import RawNetwork, sha256
from .repository import InstalledDetector, install_detector
from .sources import load
from .verify import Verification, probe, verify

Progress = Callable[[str], None]
"""Is told, in a few words, what begins."""


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export made.

    Attributes:
        name: the detector's name.
        info: what it tells about itself.
        installed: where it stands.
        verification: what was compared before it was installed.
    """

    name: str
    info: DetectorInfo
    installed: InstalledDetector
    verification: Verification


def export(
    source: Path,
    *,
    repository: Path,
    name: str | None = None,
    options: ExportOptions | None = None,
    progress: Progress = lambda _: None,
) -> ExportReport:
    """Make a served detector of a checkpoint, an architecture or an ONNX file; on any error nothing is changed.

    Args:
        source: a `.pt`, `.yaml` or `.onnx`; see `sources.load`.
        repository: Triton's folder of models; made if it is missing.
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
    progress(f"reading {source}")
    raw = load(source, options)
    pictures = sample_pictures()
    raw_outputs = probe(raw, pictures)
    info = _describe(raw, options)
    progress(f"composing the graph ({raw.head.name} head, {len(info.class_names)} classes, {info.preprocessing})")
    candidate_count = raw_outputs[0].shape[raw.head.candidate_axis]
    served = compose(raw.model, raw.head, _settings(raw, info, options, candidate_count=candidate_count))
    progress(f"comparing it with the raw network on {len(pictures)} pictures")
    verification = verify(served, info, pictures, raw_outputs)
    progress(f"installing {name} in {repository}")
    installed = install_detector(repository, name, _serialise(served), info, max_pixels=options.max_pixels)
    if (change := installed.limit_change) is not None:
        progress(str(change))
    return ExportReport(name=name, info=info, installed=installed, verification=verification)


def default_name(source: Path) -> str:
    """A model name made of the file's: characters that are not allowed become `_`.

    Raises:
        InvalidOptionError: even so it is no model name.
    """
    name = re.sub(r"[^A-Za-z0-9_.]+", "_", source.stem).strip("_.")[:90]
    if not name[:1].isalpha() or name.startswith(PREPROCESSING_PREFIXES):
        name = f"model_{name}".rstrip("_")
    return check_model_name(name.removesuffix(NETWORK_SUFFIX))


def _describe(raw: RawNetwork, options: ExportOptions) -> DetectorInfo:
    own = {package: version(package) for package in ("sightline", "onnx", "onnxscript")}
    return DetectorInfo(
        class_names=raw.class_names,
        preprocessing=raw.preprocessing,
        stride=raw.stride,
        precision=options.precision,
        head=raw.head.name,
        score_floor=raw.score_floor,
        iou_threshold=options.iou_threshold,
        max_detections=options.max_detections,
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
        iou_threshold=info.iou_threshold,
        score_floor=info.score_floor,
        nms=options.nms,
    )


def _serialise(model: onnx.ModelProto) -> bytes:
    try:
        data: bytes = model.SerializeToString()
    except ValueError as error:
        raise ExportError(f"the graph is larger than an ONNX file can be without side files: {error}") from error
    return data
