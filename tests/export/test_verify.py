"""How far the comparison with plain numpy goes: as far as the graph looks, and no farther."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from tests.export.tiny import TINY_SIZE, prediction, tiny_model

from sightline.contract import SCORE_FLOOR
from sightline.detector_info import DetectorInfo
from sightline.errors import VerificationError
from sightline.preprocessing import Preprocessing
from sightline_export.exporter import export
from sightline_export.graph import GraphSettings, candidate_limit, compose
from sightline_export.graph.compose import postprocess
from sightline_export.graph.settings import MOST_PAIRS, STATIC_CANDIDATES, STATIC_PAIRS
from sightline_export.heads import ANCHORS_LAST, END_TO_END
from sightline_export.options import ExportOptions
from sightline_export.pictures import sample_pictures
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.raw import RawNetwork
from sightline_export.reference import Found, detect
from sightline_export.session import Session
from sightline_export.sources import load
from sightline_export.verify import probe, verify

Save = Callable[[onnx.ModelProto], Path]
NAMES = ("a", "b", "c")
SLOTS = 2500
SETTINGS = GraphSettings(
    preprocessing=Preprocessing.letterbox(TINY_SIZE),
    pixels=ZERO_TO_ONE,
    class_count=len(NAMES),
    candidate_count=8400,
    max_detections=SLOTS,
    iou_threshold=0.7,
    score_floor=SCORE_FLOOR,
    nms="static",
)
INFO = DetectorInfo(
    class_names=NAMES,
    preprocessing=SETTINGS.preprocessing,
    head=ANCHORS_LAST.name,
    max_detections=SLOTS,
    iou_threshold=SETTINGS.iou_threshold,
)


def crowd(save: Save, candidates: int) -> RawNetwork:
    """A network that sees so many boxes in every picture, nearly all of them above the lowest score."""
    output = prediction("anchors_last", classes=len(NAMES), candidates=candidates)
    return load(save(tiny_model(output)), ExportOptions(classes=NAMES))


def wanted(output: npt.NDArray[np.float32], limit: int | None, info: DetectorInfo = INFO) -> Found:
    size_hw = (TINY_SIZE, TINY_SIZE)
    return detect(output, info=info, image_size_hw=size_hw, score_threshold=SCORE_FLOOR, candidate_limit=limit)


def test_more_candidates_than_a_static_export_looks_at(save: Save, tmp_path: Path) -> None:
    raw = crowd(save, 2 * STATIC_CANDIDATES)
    [output] = probe(raw, sample_pictures()[:1])
    info, slots = replace(INFO, max_detections=1200), 1200
    limited = len(wanted(output, STATIC_CANDIDATES, info).scores)
    assert limited < 0.95 * len(wanted(output, None, info).scores)
    options = ExportOptions(nms="static", classes=NAMES, max_detections=slots)
    report = export(raw.source, repository=tmp_path / "models", chain=None, options=options)
    assert report.graph_check.matched >= limited


@pytest.mark.parametrize("claimed", [10, 60])
def test_another_limit_than_the_graph_has_is_refused(claimed: int, save: Save) -> None:
    raw, pictures = crowd(save, 60), sample_pictures()[:1]
    made = replace(SETTINGS, candidate_count=60, static_candidates=20)
    served, outputs = compose(raw.model, raw.head, made), probe(raw, pictures)
    check = verify(served, INFO, pictures, outputs, candidate_limit=candidate_limit(raw.head, made))
    assert check.matched == check.reference_detections > 0
    with pytest.raises(VerificationError, match="the served graph gives"):
        verify(served, INFO, pictures, outputs, candidate_limit=claimed)


def test_more_pairs_than_the_static_suppression_looks_at() -> None:
    output = prediction("anchors_last", classes=len(NAMES), candidates=STATIC_PAIRS)
    made = replace(SETTINGS, candidate_count=STATIC_PAIRS, multi_label=True)
    shape, threshold = np.array([[TINY_SIZE, TINY_SIZE, 3]]), np.array([[SCORE_FLOOR]], dtype=np.float32)
    [[count]], _boxes, scores, _classes = Session(postprocess(ANCHORS_LAST, made)).run([output[None], shape, threshold])
    info = replace(INFO, multi_label=True)
    limited = wanted(output, candidate_limit(ANCHORS_LAST, made), info).scores
    np.testing.assert_allclose(scores[0, :count], limited, atol=1e-6)
    assert len(limited) < len(wanted(output, None, info).scores)


def test_how_many_candidates_a_graph_looks_at() -> None:
    pairs = replace(SETTINGS, multi_label=True, class_count=80)
    assert candidate_limit(ANCHORS_LAST, SETTINGS) == STATIC_CANDIDATES
    assert candidate_limit(ANCHORS_LAST, replace(SETTINGS, candidate_count=20)) == 20
    assert candidate_limit(ANCHORS_LAST, replace(SETTINGS, nms="operator")) == 8400
    assert candidate_limit(END_TO_END, SETTINGS) == 8400
    assert candidate_limit(ANCHORS_LAST, pairs) == STATIC_PAIRS
    assert candidate_limit(ANCHORS_LAST, replace(pairs, nms="operator")) == MOST_PAIRS
