"""The gate tells a detector that is still itself from one that is not; through a real server."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from tests.export.tampering import (
    Change,
    drop_half,
    halve_pixels,
    hardly_suppress,
    reverse_classes,
    shift_boxes,
    tampered,
)
from tests.joining_chain import JoiningChain

from sightline.cli._chain import EmbeddedChain, Served
from sightline.contract import DEFAULT_MAX_PIXELS, network_name
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError, VerificationError
from sightline.verification import Verification
from sightline_export.config import parse
from sightline_export.exporter import ExportReport, export
from sightline_export.gate import Gate, NewDetector, pass_gate
from sightline_export.options import ExportOptions
from sightline_export.pictures import Picture
from sightline_export.raw import SourceDetector
from sightline_export.reference import Found
from sightline_export.sample import open_sample
from sightline_export.sources import load
from sightline_server.launcher import EmbeddedServer

Judge = Callable[..., Verification]
Raw = npt.NDArray[np.float32]
CROWDED = 5


@pytest.fixture(scope="module")
def crowded(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The photographs with the most objects, and a file that is none."""
    truth = json.loads((shared_data / "coco" / "instances.json").read_text())
    objects = Counter(each["image_id"] for each in truth["annotations"])
    names = {each["id"]: each["file_name"] for each in truth["images"]}
    folder = tmp_path_factory.mktemp("crowded")
    for image_id, _ in objects.most_common(CROWDED):
        shutil.copy(shared_data / "coco" / "images" / names[image_id], folder)
    (folder / "labels.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    return folder


class Remembering:
    """A source that is asked for each picture once."""

    def __init__(self, source: SourceDetector) -> None:
        self._source = source
        self._found: dict[tuple[bytes, float], Found] = {}

    @property
    def description(self) -> str:
        return self._source.description

    def detect(self, picture: Picture, *, score_threshold: float) -> Found:
        key = (picture.tobytes(), score_threshold)
        if key not in self._found:
            self._found[key] = self._source.detect(picture, score_threshold=score_threshold)
        return self._found[key]

    def raw(self, pictures: Raw) -> npt.NDArray[Any]:
        return self._source.raw(pictures)


@pytest.fixture(scope="module")
def source(shared_data: Path) -> SourceDetector:
    """yolov8n.pt in Ultralytics."""
    return Remembering(load(shared_data / "weights" / "yolov8n.pt", ExportOptions(rect=False)).reference)


@pytest.fixture(scope="module")
def judge(yolov8n: ExportReport, source: SourceDetector, crowded: Path, chain: JoiningChain) -> Judge:
    """A function that judges yolov8n's served graph after a change."""
    graph = (yolov8n.installed.network / "1" / "model.onnx").read_bytes()

    def run(
        change: Change | None = None,
        *,
        min_match: float | None = None,
        sample: Path = crowded,
        told: Callable[[str], None] = lambda _: None,
    ) -> Verification:
        detector = NewDetector(
            name="candidate",
            model=tampered(graph, change) if change else graph,
            info=yolov8n.info,
            arithmetic="fp32",
            max_pixels=DEFAULT_MAX_PIXELS,
        )
        gate = Gate(chain=chain, sample=open_sample(sample), min_match=min_match)
        return pass_gate(detector, source, gate, progress=told).verification

    return run


def test_a_detector_that_is_still_itself_passes(judge: Judge) -> None:
    told: list[str] = []
    verification = judge(told=told.append)
    assert verification.outcome == "passed"
    assert verification.images == CROWDED
    assert verification.reference >= 100
    assert verification.matched >= 0.99 * verification.reference
    assert verification.worst_iou > 0.9
    assert verification.precision == "fp32"
    assert any("left out 1 of the sample's files" in line and "labels.txt: not an image" in line for line in told)
    assert any("ultralytics 8." in line for line in told)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shift_boxes, "missing, .*99.0% within IoU 0.95"),
        (reverse_classes, r"\n?.*0 of \d+ matched"),
        (halve_pixels, "have such a partner"),
        (drop_half, "missing"),
        (hardly_suppress, r"[1-9]\d+ extra detections; allowed: \d"),
    ],
)
def test_another_detector_fails(change: Change, reason: str, judge: Judge) -> None:
    with pytest.raises(VerificationError, match=f"is not what it was exported from: .*{reason}.*Nothing was installed"):
        judge(change)


def test_the_bar_can_be_lowered(judge: Judge) -> None:
    found = judge(drop_half, min_match=0.3)
    assert (found.outcome, found.min_match) == ("passed", 0.3)
    assert 0.3 <= found.matched / found.reference < 0.6


def test_too_few_prove_nothing(judge: Judge, shared_data: Path) -> None:
    verification = judge(sample=shared_data / "images")
    assert verification.outcome == "inconclusive"
    assert not verification.verified
    assert (verification.images, verification.matched) == (2, verification.reference)
    assert 0 < verification.reference < 100
    assert verification.lacking == 100 - verification.reference


def test_too_few_can_prove_that_it_is_wrong(judge: Judge, shared_data: Path) -> None:
    with pytest.raises(VerificationError, match="is not what it was exported from: 0 of"):
        judge(reverse_classes, sample=shared_data / "images")


def test_a_model_that_does_not_load(
    yolov8n: ExportReport, source: SourceDetector, crowded: Path, chain: JoiningChain, server: EmbeddedServer
) -> None:
    before = sorted(server.options.repository.iterdir())
    detector = NewDetector(
        name="candidate", model=b"no graph", info=yolov8n.info, arithmetic="fp32", max_pixels=DEFAULT_MAX_PIXELS
    )
    with pytest.raises(VerificationError, match=r"the served chain does not load.*candidate_"):
        pass_gate(detector, source, Gate(chain=chain, sample=open_sample(crowded)), progress=lambda _: None)
    assert [path for path in sorted(server.options.repository.iterdir()) if "candidate" in path.name] == []
    assert set(before) <= set(server.options.repository.iterdir())


def test_a_model_that_does_not_load_in_a_server_of_its_own(
    yolov8n: ExportReport, source: SourceDetector, crowded: Path
) -> None:
    detector = NewDetector(
        name="candidate", model=b"no graph", info=yolov8n.info, arithmetic="fp32", max_pixels=DEFAULT_MAX_PIXELS
    )
    told: list[str] = []
    gate = Gate(chain=EmbeddedChain(), sample=open_sample(crowded))
    with pytest.raises(VerificationError, match="does not load: model 'candidate_net'"):
        pass_gate(detector, source, gate, progress=told.append)
    assert told == ["serving candidate with an embedded Triton"], "the source, which takes long, runs afterwards"


class TamperingChain:
    """A chain between which and the exporter somebody changes the graph."""

    def __init__(self, chain: JoiningChain, change: Change) -> None:
        self._chain = chain
        self._change = change

    def serve(self, repository: Path, name: str) -> AbstractContextManager[Served]:
        file = repository / network_name(name) / "1" / "model.onnx"
        file.write_bytes(tampered(file.read_bytes(), self._change))
        return self._chain.serve(repository, name)


def test_what_fails_is_not_installed(tiny_onnx: Path, tmp_path: Path, chain: JoiningChain, small_sample: Path) -> None:
    export(tiny_onnx, repository=tmp_path / "repository", chain=None)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "repository").rglob("*")}
    for repository in (tmp_path / "repository", tmp_path / "new"):
        with pytest.raises(VerificationError, match="Nothing was installed"):
            export(tiny_onnx, repository=repository, chain=TamperingChain(chain, drop_half), sample=small_sample)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "repository").rglob("*")} == before
    assert not (tmp_path / "new").exists()


def test_the_record_is_installed(tiny_onnx: Path, tmp_path: Path, chain: JoiningChain, small_sample: Path) -> None:
    report = export(tiny_onnx, repository=tmp_path, chain=chain, sample=small_sample)
    assert report.verification.outcome == "inconclusive"
    assert report.raw_difference.worst < 1e-5
    for model in ("tiny", "tiny_net"):
        config = parse((tmp_path / model / "config.pbtxt").read_text())
        parameters = {name: value.string_value for name, value in config.parameters.items()}
        assert DetectorInfo.from_parameters(parameters).verification == report.verification
        assert json.loads(parameters["sightline.verification"])["outcome"] == "inconclusive"
        assert config.model_warmup or model == "tiny"


def test_what_ran_in_another_precision_is_not_verified(
    tiny_onnx: Path, tmp_path: Path, chain: JoiningChain, shared_data: Path
) -> None:
    sample = tmp_path / "sample"
    sample.mkdir()
    for photo in sorted((shared_data / "coco" / "images").iterdir())[:12]:
        shutil.copy(photo, sample)
    options = ExportOptions(precision="bf16")
    report = export(tiny_onnx, repository=tmp_path / "repository", options=options, chain=chain, sample=sample)
    checked = report.verification
    assert not checked.lacking
    assert checked.verified is (checked.precision == "bf16")
    if not checked.verified:
        assert (checked.outcome, checked.precision) == ("inconclusive", "fp32")
        assert str(checked).startswith("UNVERIFIED: in another precision only; ")


def test_the_gate_can_be_left_out(tiny_onnx: Path, tmp_path: Path) -> None:
    report = export(tiny_onnx, repository=tmp_path, chain=None)
    assert report.verification == Verification(outcome="skipped")
    config = parse((tmp_path / "tiny" / "config.pbtxt").read_text())
    assert '"skipped"' in config.parameters["sightline.verification"].string_value


def test_a_sample_without_pictures(judge: Judge, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(InvalidOptionError, match="none of the 1 files of the sample"):
        judge(sample=tmp_path)
