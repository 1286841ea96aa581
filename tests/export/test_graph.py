"""The part of the graph behind the network, against plain numpy, on outputs that no camera gives."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.export.tiny import TINY_SIZE, prediction

from sightline.boxes import letterbox
from sightline.contract import SCORE_FLOOR
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export.graph import GraphSettings
from sightline_export.graph.compose import postprocess
from sightline_export.graph.settings import STATIC_ROUNDS
from sightline_export.graph.static import data_dependent_nodes
from sightline_export.heads import HEADS
from sightline_export.options import NmsKind
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.reference import Found, detect
from sightline_export.session import Session

CLASSES = 3
CANDIDATES = 84
"""As many cells as YOLOX has for 64 pixels."""
FEW = [(head, count) for head in HEADS for count in (1, 7, 21) if head != "grid" or count == 21]
FORMS: list[NmsKind] = ["operator", "static"]
Raw = npt.NDArray[np.float32]


def info(head: str, *, max_detections: int = 20, iou_threshold: float = 0.5) -> DetectorInfo:
    names = tuple(f"class_{i}" for i in range(CLASSES))
    return DetectorInfo(
        class_names=names,
        preprocessing=Preprocessing.letterbox(TINY_SIZE),
        head=head,
        max_detections=max_detections,
        iou_threshold=iou_threshold,
    )


@cache
def graph(head: str, nms: NmsKind, candidates: int, max_detections: int, iou_threshold: float) -> onnx.ModelProto:
    return postprocess(
        HEADS[head],
        GraphSettings(
            preprocessing=Preprocessing.letterbox(TINY_SIZE),
            pixels=ZERO_TO_ONE,
            class_count=CLASSES,
            candidate_count=candidates,
            max_detections=max_detections,
            iou_threshold=iou_threshold,
            score_floor=SCORE_FLOOR,
            nms=nms,
        ),
    )


@cache
def session(head: str, nms: NmsKind, candidates: int, max_detections: int, iou_threshold: float) -> Session:
    return Session(graph(head, nms, candidates, max_detections, iou_threshold))


def run(
    raws: list[Raw],
    *,
    about: DetectorInfo,
    nms: NmsKind,
    thresholds: list[float],
    sizes_hw: list[tuple[int, int]] | None = None,
) -> list[Found]:
    """What the graph gives for a batch of raw outputs."""
    candidates = raws[0].shape[HEADS[about.head].candidate_axis]
    running = session(about.head, nms, candidates, about.max_detections, about.iou_threshold)
    shapes = [(*size, 3) for size in sizes_hw or [(TINY_SIZE, TINY_SIZE)] * len(raws)]
    counts, boxes, scores, classes = running.run(
        [np.stack(raws), np.array(shapes, dtype=np.int64), np.array(thresholds, dtype=np.float32)[:, None]]
    )
    assert counts.shape == (len(raws), 1)
    assert boxes.shape == (len(raws), about.max_detections, 4)
    kinds = [output.dtype.name for output in (counts, boxes, scores, classes)]
    assert kinds == ["int32", "float32", "float32", "int32"]
    found = []
    for count, box, score, class_id in zip(counts[:, 0], boxes, scores, classes, strict=True):
        assert not box[count:].any()
        assert not score[count:].any()
        assert (class_id[count:] == -1).all()
        assert (np.diff(score) <= 0).all()
        assert np.isfinite(box).all()
        found.append(Found(box[:count], score[:count], class_id[:count]))
    return found


def expect(raw: Raw, *, about: DetectorInfo, threshold: float) -> Found:
    return detect(raw, info=about, image_size_hw=(TINY_SIZE, TINY_SIZE), score_threshold=threshold)


def assert_same(came: Found, wanted: Found) -> None:
    np.testing.assert_array_equal(came.class_ids, wanted.class_ids)
    np.testing.assert_allclose(came.scores, wanted.scores, atol=1e-6)
    np.testing.assert_allclose(came.boxes_xyxy, wanted.boxes_xyxy, atol=1e-3)


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("head", HEADS)
def test_agrees_with_numpy(head: str, nms: NmsKind) -> None:
    about = info(head)
    raws = [prediction(head, classes=CLASSES, candidates=CANDIDATES, seed=seed) for seed in range(20)]
    thresholds = [0.05 * seed for seed in range(20)]
    for raw, threshold, came in zip(
        raws, thresholds, run(raws, about=about, nms=nms, thresholds=thresholds), strict=True
    ):
        assert_same(came, expect(raw, about=about, threshold=threshold))


def grid_boxes(seed: int, *, spread: int) -> Raw:
    """Boxes with whole coordinates and few different scores: identical boxes, ties, no area, IoU at the threshold."""
    generator = np.random.default_rng(seed)
    centre = generator.integers(8, 8 + spread, (CANDIDATES, 2)) * 4
    size = generator.integers(0, 12, (CANDIDATES, 2)) * 4
    scores = generator.integers(0, 5, (CANDIDATES, CLASSES)) / 4
    raw: Raw = np.hstack([centre, size, scores]).T.astype(np.float32)
    return raw


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    seeds=st.lists(st.integers(0, 2**32 - 1), min_size=16, max_size=16),
    spread=st.sampled_from([2, 8, 60]),
    iou_threshold=st.sampled_from([0.0, 0.5, 0.7, 1.0]),
    threshold=st.sampled_from([SCORE_FLOOR, 0.25, 0.9]),
)
def test_random_boxes(seeds: list[int], spread: int, iou_threshold: float, threshold: float) -> None:
    about = info("anchors_last", iou_threshold=iou_threshold)
    raws = [grid_boxes(seed, spread=spread) for seed in seeds]
    wanted = [expect(raw, about=about, threshold=threshold) for raw in raws]
    for nms in FORMS:
        for came, reference in zip(
            run(raws, about=about, nms=nms, thresholds=[threshold] * len(raws)), wanted, strict=True
        ):
            assert_same(came, reference)


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize(("head", "candidates"), FEW)
def test_fewer_candidates_than_slots(head: str, nms: NmsKind, candidates: int) -> None:
    about = info(head)
    raw = prediction(head, classes=CLASSES, candidates=candidates)
    (came,) = run([raw], about=about, nms=nms, thresholds=[0.0])
    assert_same(came, expect(raw, about=about, threshold=0.0))
    assert len(came.scores)


@pytest.mark.parametrize("nms", FORMS)
def test_more_objects_than_slots(nms: NmsKind) -> None:
    about = info("anchors_last", max_detections=5, iou_threshold=1.0)
    raw = prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES)
    (came,) = run([raw], about=about, nms=nms, thresholds=[0.0])
    np.testing.assert_allclose(came.scores, np.sort(raw[4:].max(axis=0))[::-1][:5])


@pytest.mark.parametrize("nms", FORMS)
def test_nothing_found(nms: NmsKind) -> None:
    about = info("anchors_last")
    raw = prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES) * 0
    (came, again) = run([raw, raw], about=about, nms=nms, thresholds=[0.0, 0.5])
    assert len(came.scores) == len(again.scores) == 0


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("threshold", [float("nan"), -1.0, 0.0, -float("inf"), SCORE_FLOOR / 2])
def test_a_threshold_below_the_floor_is_the_floor(nms: NmsKind, threshold: float) -> None:
    about = info("anchors_last")
    raw = prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES)
    hostile, floor = run([raw, raw], about=about, nms=nms, thresholds=[threshold, SCORE_FLOOR])
    assert_same(hostile, floor)
    assert len(floor.scores)


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("threshold", [1.5, 2.0, float("inf")])
def test_a_threshold_above_one_finds_nothing(nms: NmsKind, threshold: float) -> None:
    raw = prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES)
    (came,) = run([raw], about=info("anchors_last"), nms=nms, thresholds=[threshold])
    assert len(came.scores) == 0


@pytest.mark.parametrize("nms", FORMS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("all_of_it", [True, False])
def test_broken_outputs_harm_no_neighbour(head: str, nms: NmsKind, bad: float, all_of_it: bool) -> None:
    about = info(head)
    good = prediction(head, classes=CLASSES, candidates=CANDIDATES)
    broken = prediction(head, classes=CLASSES, candidates=CANDIDATES, seed=1)
    broken[... if all_of_it else np.random.default_rng(0).random(broken.shape) < 0.3] = bad
    alone = run([good], about=about, nms=nms, thresholds=[0.1])[0]
    first, came, last = run([good, broken, good], about=about, nms=nms, thresholds=[0.1, 0.0, 0.1])
    for neighbour in (first, last):
        np.testing.assert_array_equal(neighbour.boxes_xyxy, alone.boxes_xyxy)
        np.testing.assert_array_equal(neighbour.scores, alone.scores)
    assert ((came.scores > 0) & (came.scores <= 1)).all()
    assert ((came.class_ids >= 0) & (came.class_ids < CLASSES)).all()


@pytest.mark.parametrize("nms", FORMS)
def test_neighbours_change_nothing(nms: NmsKind) -> None:
    about = info("anchors_last")
    raws = [prediction("anchors_last", classes=CLASSES, candidates=CANDIDATES, seed=seed) for seed in range(4)]
    thresholds = [0.3, float("nan"), 2.0, -1.0]
    together = run(raws, about=about, nms=nms, thresholds=thresholds)
    for raw, threshold, came in zip(raws, thresholds, together, strict=True):
        (alone,) = run([raw], about=about, nms=nms, thresholds=[threshold])
        np.testing.assert_array_equal(came.boxes_xyxy, alone.boxes_xyxy)
        np.testing.assert_array_equal(came.scores, alone.scores)


def test_the_static_form_is_exact_for_chains_of_its_rounds() -> None:
    """Each box overlaps the next one only, so whether one stays depends on every one before it."""
    links = STATIC_ROUNDS
    left = 20 + 12.0 * np.arange(links + 1)
    boxes = np.stack([left, np.full_like(left, 100), np.full_like(left, 20), np.full_like(left, 20)])
    scores = np.zeros((CLASSES, links + 1))
    scores[0] = np.linspace(0.9, 0.3, links + 1)
    raw = np.vstack([boxes, scores]).astype(np.float32)
    about = info("anchors_last", iou_threshold=0.2)
    wanted = expect(raw, about=about, threshold=0.1)
    assert len(wanted.scores) == links // 2 + 1
    for nms in FORMS:
        assert_same(run([raw], about=about, nms=nms, thresholds=[0.1])[0], wanted)


def test_inverted_boxes_have_no_area() -> None:
    raw = prediction("end_to_end", classes=CLASSES, candidates=1)
    raw[0] = [200, 200, 100, 100, 0.9, 1]
    (came,) = run([raw], about=info("end_to_end"), nms="operator", thresholds=[0.1])
    np.testing.assert_array_equal(came.boxes_xyxy, [[200, 200, 200, 200]])


SIZES_HW = [
    *[(853, 1280), (1280, 853), (851, 1280), (1, 1), (1, 5000), (5000, 1), (2, 641), (3, 3840), (480, 640)],
    *[(427, 640), (320, 320), (4000, 6000), (9528, 13400), (97, 61)],
]


def test_boxes_return_to_the_original_image() -> None:
    about = info("end_to_end", max_detections=2)
    raw = np.array([[10, 20, 200, 150, 0.9, 0], [-50, -50, 900, 900, 0.8, 1]], dtype=np.float32)
    found = run([raw] * len(SIZES_HW), about=about, nms="operator", thresholds=[0.1] * len(SIZES_HW), sizes_hw=SIZES_HW)
    for size_hw, came in zip(SIZES_HW, found, strict=True):
        place = letterbox(image_size_hw=size_hw, input_size=TINY_SIZE)
        wanted = place.to_original(raw[:, :4].astype(np.float64), image_size_hw=size_hw)
        np.testing.assert_allclose(came.boxes_xyxy, wanted, rtol=1e-5, atol=1e-3, err_msg=str(size_hw))
        np.testing.assert_array_equal(came.boxes_xyxy[1], [0, 0, size_hw[1], size_hw[0]])


def test_an_image_without_pixels_gives_finite_boxes() -> None:
    raw = prediction("end_to_end", classes=CLASSES, candidates=5)
    run([raw], about=info("end_to_end"), nms="operator", thresholds=[0.1], sizes_hw=[(0, 0)])


def with_shape(model: onnx.ModelProto, raw_shape: tuple[int, ...]) -> onnx.ModelProto:
    """The graph with every input's shape fixed, and what follows from that."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = raw_shape[0]
    for dim, length in zip(fixed.graph.input[0].type.tensor_type.shape.dim, raw_shape, strict=True):
        dim.dim_value = length
    return onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)


@pytest.mark.parametrize("head", HEADS)
def test_every_shape_of_the_static_form_is_known(head: str) -> None:
    model = graph(head, "static", CANDIDATES, 20, 0.5)
    assert data_dependent_nodes(model) == []
    inferred = with_shape(model, (4, *prediction(head, classes=CLASSES, candidates=CANDIDATES).shape)).graph
    known = {value.name: value.type.tensor_type.shape for value in (*inferred.value_info, *inferred.output)}
    for node in inferred.node:
        for name in node.output:
            assert name in known, name
            assert all(dim.HasField("dim_value") for dim in known[name].dim), name


def test_the_operator_form_is_told_apart() -> None:
    (node,) = data_dependent_nodes(graph("anchors_last", "operator", CANDIDATES, 20, 0.5))
    assert node.startswith("NonMaxSuppression ")


@pytest.mark.parametrize(("apart", "kept"), [(17.6, 1), (17.7, 2)])
def test_classes_are_told_apart_exactly(apart: float, kept: int) -> None:
    """IoU just above and just below 0.7, in the last of 1,000 classes, whose boxes are moved farthest."""
    size = GraphSettings(
        preprocessing=Preprocessing.letterbox(TINY_SIZE),
        pixels=ZERO_TO_ONE,
        class_count=1000,
        candidate_count=2,
        max_detections=5,
        iou_threshold=0.7,
        score_floor=SCORE_FLOOR,
        nms="operator",
    )
    pair = np.zeros((1, 1004, 2), dtype=np.float32)
    pair[0, :4] = 100
    pair[0, 0, 1] = 100 + apart
    pair[0, 1003] = [0.9, 0.8]
    inputs: list[npt.NDArray[Any]] = [pair, np.array([[320, 320, 3]]), np.array([[0.1]], dtype=np.float32)]
    count = Session(postprocess(HEADS["anchors_last"], size)).run(inputs)[0]
    assert int(count[0, 0]) == kept
