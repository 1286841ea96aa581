"""The graph of a plan: the same detections as the served graph, its network in FP16 and nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto
from tests.export.tiny import GRID_CANDIDATES, TINY_SIZE, prediction, tiny_model

from sightline.contract import PlanPrecision
from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline.errors import CheckpointError, ExportError, VerificationError
from sightline.preprocessing import Preprocessing
from sightline_export.agreement import agreement_bar, check_agreement, find_all, read_pictures
from sightline_export.graph import GraphSettings, compose
from sightline_export.graph.half import element_types, to_half
from sightline_export.graph.rounding import with_rounding
from sightline_export.graph.take_apart import take_apart
from sightline_export.heads import HEADS
from sightline_export.pixels import PixelFormat
from sightline_export.sample import SampleFiles, open_sample
from sightline_export.session import Session
from sightline_export.tensorrt.network import plan_graph, read_served
from sightline_export.tensorrt.plannable import check_plannable
from sightline_export.tensorrt.sources import Source, find_sources
from sightline_export.tensorrt.takes import faults

REPOSITORY = Path(__file__).resolve().parents[2] / "model_repository"
CLASSES, CANDIDATES = 3, GRID_CANDIDATES


@pytest.fixture(scope="module")
def demo() -> Source:
    (source,) = find_sources(REPOSITORY, ["demo"])
    return source


@pytest.fixture(scope="module")
def served(demo: Source) -> onnx.ModelProto:
    return read_served(demo.onnx)


@pytest.fixture(scope="module")
def half(served: onnx.ModelProto, demo: Source) -> onnx.ModelProto:
    return plan_graph(served, demo.info, "fp16")


@pytest.fixture(scope="module")
def sample() -> SampleFiles:
    files = open_sample(None)
    return files.only(["crowd.jpg", "garden.jpg", "tiles.jpg", "harbour.jpg"])


# --- the same detections ----------------------------------------------------------------------------------------
def test_static_suppression_finds_what_the_operator_finds(
    served: onnx.ModelProto, demo: Source, sample: SampleFiles
) -> None:
    planned = plan_graph(served, demo.info, "fp32")
    assert "NonMaxSuppression" in {node.op_type for node in served.graph.node}
    assert "NonMaxSuppression" not in {node.op_type for node in planned.graph.node}
    report = check_agreement(served, planned, demo.info, sample, agreement_bar("fp32"))
    assert report.reference >= 30
    assert report.count("matched") == report.reference
    assert report.count("extra") == 0
    assert report.worst_iou > 0.99999
    assert report.worst_score_difference < 1e-5


def test_an_fp16_network_moves_boxes_by_fractions_of_a_pixel(
    served: onnx.ModelProto, half: onnx.ModelProto, demo: Source, sample: SampleFiles
) -> None:
    report = check_agreement(served, half, demo.info, sample, agreement_bar("fp16"))
    assert report.count("matched") == report.reference >= 30
    assert report.worst_iou > 0.99
    assert report.worst_score_difference < 0.01


def displacement(before: dict[str, Detections], after: dict[str, Detections]) -> npt.NDArray[np.float64]:
    """How far the farthest coordinate of each box moved, in pixels of the picture."""
    moved = []
    for name, wanted in before.items():
        came = after[name]
        for box, class_id in zip(wanted.boxes_xyxy, wanted.class_ids, strict=True):
            same = came.boxes_xyxy[came.class_ids == class_id]
            moved.append(np.abs(same - box).max(axis=1).min() if len(same) else np.inf)
    return np.array(moved)


def test_an_fp16_head_would_move_boxes_many_times_as_far(
    served: onnx.ModelProto, demo: Source, sample: SampleFiles, half: onnx.ModelProto
) -> None:
    plain = plan_graph(served, demo.info, "fp32")
    everything = to_half(plain, begins=take_apart(served).pictures, without=frozenset())
    assert any("part of the head and gives FP16" in fault for fault in faults(everything))
    pictures = read_pictures(sample)
    wanted, ours, naive = (
        find_all(graph, demo.info, pictures, 0.25) for graph in (plain, with_rounding(half), with_rounding(everything))
    )
    assert np.median(displacement(wanted, ours)) < 0.1
    assert np.median(displacement(wanted, naive)) > 5 * np.median(displacement(wanted, ours))


def test_a_batch_gives_what_each_picture_gives_alone(half: onnx.ModelProto) -> None:
    generator = np.random.default_rng(0)
    inputs: dict[str, npt.NDArray[Any]] = {
        "images": generator.integers(0, 255, (2, 640, 640, 3), dtype=np.uint8),
        "original_shape": np.array([[640, 640, 3], [480, 600, 3]]),
        "score_threshold": np.full((2, 1), 0.001, dtype=np.float32),
    }
    session = Session(half)
    together = session.run_named(inputs)
    for index in range(2):
        alone = session.run_named({name: value[index : index + 1] for name, value in inputs.items()})
        assert np.allclose(together["scores"][index], alone["scores"][0], atol=1e-4)


# --- what is FP16 -----------------------------------------------------------------------------------------------
def test_casts_stand_at_the_networks_borders_only(half: onnx.ModelProto) -> None:
    types = element_types(half)
    casts = [node for node in half.graph.node if node.op_type == "Cast" and node.name.endswith("_cast")]
    into = [node for node in casts if types[node.output[0]] == TensorProto.FLOAT16]
    assert [node.name for node in into] == ["front_return_val_half_cast"]
    made_by = {name: node.op_type for node in half.graph.node for name in node.output}
    assert [made_by[node.input[0]] for node in casts if node not in into] == ["Conv"] * 6


def test_all_convolutions_and_nothing_behind_them_is_fp16(half: onnx.ModelProto) -> None:
    types = element_types(half)
    halves = {node.op_type for node in half.graph.node if types.get(node.output[0]) == TensorProto.FLOAT16}
    assert {"Conv", "Relu"} <= halves
    assert not halves & {"Sigmoid", "Softplus", "Exp", "Sub", "Div", "TopK", "Where", "Round"}
    assert all(types[n.output[0]] == TensorProto.FLOAT16 for n in half.graph.node if n.op_type == "Conv")
    weights = [t for t in half.graph.initializer if t.name.startswith("network_") and len(t.dims) == 4]
    assert weights
    assert {tensor.data_type for tensor in weights} == {TensorProto.FLOAT16}


# --- every head -------------------------------------------------------------------------------------------------
def compose_tiny(head: str, *, multi_label: bool = False) -> tuple[onnx.ModelProto, DetectorInfo]:
    """A served graph of the layout `head`, and its info."""
    kind = "stretch" if "queries" in head else "letterbox"
    info = DetectorInfo(
        class_names=tuple(f"class_{i}" for i in range(CLASSES)),
        preprocessing=Preprocessing(kind, (TINY_SIZE,)),  # type: ignore[arg-type]
        head=head,
        max_detections=40,
        multi_label=multi_label,
    )
    settings = GraphSettings(
        preprocessing=info.preprocessing,
        pixels=PixelFormat(order="bgr", divisor=1.0),
        class_count=CLASSES,
        candidate_count=CANDIDATES,
        max_detections=info.max_detections,
        iou_threshold=info.iou_threshold,
        score_floor=info.score_floor,
        nms="operator",
        multi_label=multi_label,
    )
    raw = tiny_model(prediction(head, classes=CLASSES, candidates=CANDIDATES))
    return compose(raw, HEADS[head], settings), info


@pytest.mark.parametrize(
    ("head", "multi_label"),
    [*((head, False) for head in HEADS), *((name, True) for name, head in HEADS.items() if head.by_class)],
)
def test_every_head_becomes_the_same_detections_without_faults(
    head: str, multi_label: bool, sample: SampleFiles
) -> None:
    graph, info = compose_tiny(head, multi_label=multi_label)
    planned = plan_graph(graph, info, "fp32")
    assert faults(planned) == []
    assert [value.name for value in planned.graph.input] == [value.name for value in graph.graph.input]
    assert [value.name for value in planned.graph.output] == [value.name for value in graph.graph.output]
    pictures = sample.only(["crowd.jpg", "tiles.jpg"])
    report = check_agreement(graph, planned, info, pictures, agreement_bar("fp32"))
    assert report.reference > 0
    assert report.count("matched") == report.reference
    assert report.count("extra") == 0


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_graph_for_gpus_is_taken_apart_as_well(
    served: onnx.ModelProto, demo: Source, precision: PlanPrecision
) -> None:
    again = plan_graph(plan_graph(served, demo.info, "fp32"), demo.info, precision)
    assert faults(again) == []


# --- what cannot be a plan --------------------------------------------------------------------------------------
def test_pictures_of_varying_size_are_refused(demo: Source) -> None:
    info = replace(demo.info, preprocessing=Preprocessing.resize(shorter=800, longest=1333))
    with pytest.raises(ExportError, match="pictures vary in size"):
        check_plannable(info)


def test_a_quantised_network_is_refused(demo: Source) -> None:
    with pytest.raises(ExportError, match="symmetric quantisation only"):
        check_plannable(replace(demo.info, quantised=True))


def test_an_unknown_head_is_refused(demo: Source) -> None:
    with pytest.raises(ExportError, match="'octopus' is not one of anchors_first"):
        check_plannable(replace(demo.info, head="octopus"))


def test_a_graph_that_no_export_made_is_refused(demo: Source) -> None:
    foreign = tiny_model(prediction("anchors_last", classes=8, candidates=50))
    with pytest.raises(ExportError, match="export the model again"):
        plan_graph(foreign, demo.info, "fp32")


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff\xffnonsense")
    with pytest.raises(CheckpointError, match="no ONNX file"):
        read_served(tmp_path / "model.onnx")


def test_a_graph_that_finds_something_else_is_refused(
    served: onnx.ModelProto, demo: Source, sample: SampleFiles
) -> None:
    other = replace(demo.info, iou_threshold=0.01)
    planned = plan_graph(served, other, "fp32")
    with pytest.raises(VerificationError, match=r"does not find what the served one finds: .* --precision fp32"):
        check_agreement(served, planned, demo.info, open_sample(None), agreement_bar("fp32"))
    report = check_agreement(served, planned, demo.info, sample, agreement_bar("fp32", 0.0))
    assert report.count("missing") > 0
