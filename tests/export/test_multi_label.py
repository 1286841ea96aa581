"""Every class of a box as a detection of its own: the graph against plain numpy, and against Ultralytics' own `val`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from tests.export.tiny import TINY_SIZE, prediction, tiny_model
from tests.joining_chain import JoiningChain

from sightline.contract import SCORE_FLOOR
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.exporter import export
from sightline_export.graph import GraphSettings
from sightline_export.graph.compose import postprocess
from sightline_export.graph.multi_label import pair_limit
from sightline_export.graph.settings import MOST_PAIRS, STATIC_PAIRS
from sightline_export.graph.static import data_dependent_nodes
from sightline_export.heads import HEADS
from sightline_export.options import ExportOptions, NmsKind
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.reference import Found, detect
from sightline_export.session import Session

CLASSES, CANDIDATES, SLOTS = 3, 84, 40
FORMS: list[NmsKind] = ["operator", "static"]
BY_CLASS = [name for name, head in HEADS.items() if head.by_class is not None]
Raw = npt.NDArray[np.float32]


def settings(nms: NmsKind, *, classes: int = CLASSES, candidates: int = CANDIDATES) -> GraphSettings:
    return GraphSettings(
        preprocessing=Preprocessing.letterbox(TINY_SIZE),
        pixels=ZERO_TO_ONE,
        class_count=classes,
        candidate_count=candidates,
        max_detections=SLOTS,
        iou_threshold=0.5,
        score_floor=SCORE_FLOOR,
        nms=nms,
        multi_label=True,
    )


def info(head: str, *, classes: int = CLASSES) -> DetectorInfo:
    return DetectorInfo(
        class_names=tuple(f"class_{i}" for i in range(classes)),
        preprocessing=Preprocessing.letterbox(TINY_SIZE),
        head=head,
        max_detections=SLOTS,
        iou_threshold=0.5,
        multi_label=True,
    )


def run(model: onnx.ModelProto, raws: list[Raw], threshold: float) -> list[Found]:
    shapes = np.array([[TINY_SIZE, TINY_SIZE, 3]] * len(raws))
    inputs: list[npt.NDArray[Any]] = [np.stack(raws), shapes, np.full((len(raws), 1), threshold, np.float32)]
    counts, boxes, scores, classes = Session(model).run(inputs)
    return [Found(boxes[i, :n], scores[i, :n], classes[i, :n]) for i, n in enumerate(counts[:, 0])]


def expect(raw: Raw, head: str, threshold: float) -> Found:
    return detect(raw, info=info(head), image_size_hw=(TINY_SIZE, TINY_SIZE), score_threshold=threshold)


def assert_same(came: Found, wanted: Found) -> None:
    np.testing.assert_array_equal(came.class_ids, wanted.class_ids)
    np.testing.assert_allclose(came.scores, wanted.scores, atol=1e-6)
    np.testing.assert_allclose(came.boxes_xyxy, wanted.boxes_xyxy, atol=1e-3)


def test_which_heads_tell_every_class() -> None:
    assert BY_CLASS == ["anchors_last", "anchors_first", "grid", "queries"]


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("head", BY_CLASS)
def test_agrees_with_numpy(head: str, nms: NmsKind) -> None:
    raws = [prediction(head, classes=CLASSES, candidates=CANDIDATES, seed=seed) for seed in range(10)]
    model = postprocess(HEADS[head], settings(nms))
    onnx.checker.check_model(model, full_check=True)
    for threshold in (SCORE_FLOOR, 0.3):
        for raw, came in zip(raws, run(model, raws, threshold), strict=True):
            assert_same(came, expect(raw, head, threshold))


@pytest.mark.parametrize("nms", FORMS)
def test_a_box_with_two_classes_is_found_twice(nms: NmsKind) -> None:
    raw = np.zeros((4 + CLASSES, CANDIDATES), np.float32)
    raw[:4, 5] = [100, 120, 60, 40]
    raw[4:, 5] = [0.6, 0.0, 0.8]
    (came,) = run(postprocess(HEADS["anchors_last"], settings(nms)), [raw], 0.25)
    np.testing.assert_array_equal(came.class_ids, [2, 0])
    np.testing.assert_allclose(came.scores, [0.8, 0.6])
    np.testing.assert_allclose(came.boxes_xyxy, [[70, 100, 130, 140]] * 2)


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_broken_outputs_harm_no_neighbour(nms: NmsKind, bad: float) -> None:
    good = prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES)
    broken = good.copy()
    broken[np.random.default_rng(0).random(good.shape) < 0.3] = bad
    model = postprocess(HEADS["anchors_last"], settings(nms))
    first, came, last = run(model, [good, broken, good], 0.1)
    for neighbour in (first, last):
        assert_same(neighbour, expect(good, "anchors_last", 0.1))
    assert ((came.scores > 0) & (came.scores <= 1)).all()


def test_how_many_pairs_are_looked_at() -> None:
    assert pair_limit(settings("operator")) == pair_limit(settings("static")) == CLASSES * CANDIDATES
    assert pair_limit(settings("operator", classes=80, candidates=8400)) == MOST_PAIRS
    assert pair_limit(settings("static", classes=80, candidates=8400)) == STATIC_PAIRS


def test_the_static_form_stays_static() -> None:
    assert data_dependent_nodes(postprocess(HEADS["anchors_last"], settings("static"))) == []


@pytest.mark.parametrize("head", sorted(set(HEADS) - set(BY_CLASS)))
def test_finished_detections_are_refused(head: str) -> None:
    with pytest.raises(InvalidOptionError, match=rf"--multi-label is not possible with a {head} head: each of its"):
        postprocess(HEADS[head], settings("operator"))


def test_exported_and_told(
    save: Callable[[onnx.ModelProto], Path], tmp_path: Path, chain: JoiningChain, small_sample: Path
) -> None:
    source = save(tiny_model(prediction("anchors_last", classes=CLASSES, candidates=50)))
    options = ExportOptions(multi_label=True, classes=("a", "b", "c"))
    where: dict[str, Any] = {"repository": tmp_path / "models", "chain": chain, "sample": small_sample}
    report = export(source, options=options, **where)
    assert report.info.multi_label
    assert report.verification.reference > 0
    assert (report.verification.missing, report.verification.extra) == (0, 0)
    assert DetectorInfo.from_parameters(report.info.to_parameters()) == report.info


def test_nothing_is_installed_for_finished_detections(save: Callable[[onnx.ModelProto], Path], tmp_path: Path) -> None:
    source = save(tiny_model(prediction("end_to_end", classes=CLASSES, candidates=50)))
    options = ExportOptions(multi_label=True, classes=("a", "b", "c"))
    with pytest.raises(InvalidOptionError, match="--multi-label is not possible"):
        export(source, repository=tmp_path / "models", options=options, chain=None)
    assert not (tmp_path / "models").exists()
