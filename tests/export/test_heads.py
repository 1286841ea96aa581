"""Layouts are recognised by shape and number, never guessed; and decoded as their papers say."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
from onnx import TensorProto, helper
from onnx.inliner import inline_local_functions
from tests.export.tiny import GRID_CANDIDATES, prediction

from sightline.errors import InvalidOptionError, UnknownHeadError
from sightline_export.families import FAMILIES, Family
from sightline_export.heads import HEADS
from sightline_export.heads.recognise import recognise
from sightline_export.options import ExportOptions
from sightline_export.session import Session


@pytest.mark.parametrize(
    ("shape", "image_size", "class_count", "family"),
    [
        ((1, 84, 8400), 640, 80, "yolov8"),
        ((1, 84, 8400), 640, None, "yolov8"),
        ((1, 5, 8400), 640, 1, "yolov8"),
        ((1, 6, 8400), 640, 2, "yolov8"),
        ((1, 84, 33600), 1280, None, "yolov8"),
        ((1, 84, 34000), 1280, None, "yolov8"),
        ((1, 84, 34000), 640, None, "yolov8"),
        ((1, 84, 2000), 640, None, "yolov8"),
        ((1, 84, 1234), 640, None, "yolov8"),
        ((1, 25200, 85), 640, 80, "yolov5"),
        ((1, 25200, 85), 640, None, "yolov5"),
        ((1, 25200, 6), 640, None, "yolov5"),
        ((1, 25200, 6), 640, 1, "yolov5"),
        ((1, 10647, 85), 416, None, "yolov5"),
        ((1, 6300, 85), 320, None, "yolov5"),
        ((1, 102000, 85), 1280, None, "yolov5"),
        ((1, 2535, 85), 416, None, "yolov5"),
        ((1, 300, 6), 640, 80, "end_to_end"),
        ((1, 5, 6), 640, 3, "end_to_end"),
        ((1, 300, 84), 640, 80, "rtdetr"),
        ((1, 300, 369), 640, 365, "rtdetr"),
    ],
)
def test_recognised(shape: tuple[int, ...], image_size: int, class_count: int | None, family: str) -> None:
    assert recognise(shape, image_size=image_size, class_count=class_count).name == family


@pytest.mark.parametrize(
    ("shape", "class_count", "families"),
    [
        ((1, 8400, 85), 80, "yolov6, yolox, yolox_decoded and yolox_legacy"),
        ((1, 8400, 6), 1, "yolov6, yolox, yolox_decoded and yolox_legacy"),
        ((1, 300, 6), 1, "yolov5, yolov6, yolov7, yolox_decoded and end_to_end"),
        ((1, 300, 6), 2, "end_to_end and rtdetr"),
        ((1, 300, 84), None, "yolov5, yolov6, yolov7, yolox_decoded and rtdetr"),
        ((1, 300, 369), None, "yolov8 and rtdetr"),
        ((1, 1234, 85), 80, "yolov5, yolov6, yolov7 and yolox_decoded"),
    ],
)
def test_ambiguity_is_no_guess(shape: tuple[int, ...], class_count: int | None, families: str) -> None:
    with pytest.raises(UnknownHeadError, match=f"which fits {families}; say which with --family"):
        recognise(shape, image_size=640, class_count=class_count)
    for name in families.replace(" and ", ", ").split(", "):
        assert recognise(shape, image_size=640, class_count=class_count, wanted=name).name == name


@pytest.mark.parametrize("shape", [(1, 1000), (1, 3, 80, 80, 85), (1, 4, 8400), (1, 8400, 4), (1, 80, 80000, 1)])
def test_unknown_shapes_list_the_known(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnknownHeadError) as caught:
        recognise(shape, image_size=640)
    for family in FAMILIES.values():
        told = f"{family.name}: {HEADS[family.head].layout}" in str(caught.value)
        assert told == (".onnx" in family.suffixes)


def test_a_wrong_number_of_classes_says_the_right_one() -> None:
    with pytest.raises(UnknownHeadError, match=r"with 3 classes; that shape has 80 classes as yolov8\. Give"):
        recognise((1, 84, 8400), image_size=640, class_count=3)
    with pytest.raises(UnknownHeadError, match=r"80 classes as yolov5, yolov6, .* or 81 classes as rtdetr"):
        recognise((1, 300, 85), image_size=640, class_count=3)


def test_the_wanted_family_must_fit() -> None:
    with pytest.raises(UnknownHeadError, match="no known layout for --family end_to_end"):
        recognise((1, 84, 8400), image_size=640, class_count=80, wanted="end_to_end")
    with pytest.raises(UnknownHeadError, match=r"for 416 pixels.*no known layout for --family yolox"):
        recognise((1, 8400, 85), image_size=416, wanted="yolox")
    with pytest.raises(InvalidOptionError, match="family 'yolo99' is not known; choose one of yolov8, yolov5, "):
        ExportOptions(family="yolo99")


@pytest.mark.parametrize("name", HEADS)
def test_heads_tell_their_class_count(name: str) -> None:
    output = prediction(name, classes=4, candidates=84)
    assert HEADS[name].class_count((output.shape[0], output.shape[1])) in (4, 0)
    assert HEADS[name].decode_numpy(output).boxes_xyxy.shape == (output.shape[HEADS[name].candidate_axis], 4)
    assert np.isfinite(HEADS[name].decode_numpy(output).scores).all()


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.name)
def test_families_are_whole(family: Family) -> None:
    assert family.head in HEADS
    assert "\n" not in family.summary


def run_decoding(name: str, raw: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
    """What the graph's decoding gives for a batch of two, the second one with other numbers."""
    batch = np.stack([raw, raw[::-1]])
    candidates = raw.shape[HEADS[name].candidate_axis]
    model = inline_local_functions(HEADS[name].decoding(candidates).to_model_proto())
    model.graph.input[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, ["N", *raw.shape]))
    return Session(model).run([batch])


@pytest.mark.parametrize("name", HEADS)
def test_the_graph_decodes_as_numpy_does(name: str) -> None:
    raw = prediction(name, classes=4, candidates=GRID_CANDIDATES)
    boxes, scores, classes = run_decoding(name, raw)
    for index, each in enumerate((raw, raw[::-1])):
        expected = HEADS[name].decode_numpy(each)
        np.testing.assert_allclose(boxes[index], expected.boxes_xyxy, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(scores[index], expected.scores, rtol=1e-6)
        np.testing.assert_array_equal(classes[index], expected.class_ids)


def yolox_by_the_paper(raw: npt.NDArray[np.float32], image_size: int) -> npt.NDArray[np.float64]:
    """Boxes (A, 4) xyxy, cell by cell: `(t + cell) * stride` and `exp(t) * stride`."""
    boxes, row = [], 0
    for stride in (8, 16, 32):
        for y in range(image_size // stride):
            for x in range(image_size // stride):
                tx, ty, tw, th = (float(value) for value in raw[row, :4])
                centre_x, centre_y = (tx + x) * stride, (ty + y) * stride
                width, height = math.exp(tw) * stride, math.exp(th) * stride
                boxes.append([centre_x - width / 2, centre_y - height / 2, centre_x + width / 2, centre_y + height / 2])
                row += 1
    assert row == len(raw)
    return np.array(boxes)


@pytest.mark.parametrize("image_size", [32, 96, 320, 416])
def test_yolox_is_decoded_as_its_paper_says(image_size: int) -> None:
    raw = prediction("grid", classes=3, candidates=21 * (image_size // 32) ** 2)
    wanted = yolox_by_the_paper(raw, image_size)
    boxes, scores, _ = run_decoding("grid", raw)
    np.testing.assert_allclose(boxes[0], wanted, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(HEADS["grid"].decode_numpy(raw).boxes_xyxy, wanted, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(scores[0], raw[:, 4] * raw[:, 5:].max(axis=1), rtol=1e-6)


def test_queries_are_parts_of_the_picture() -> None:
    """One object in the right half, against torch's own conversion."""
    torchvision = pytest.importorskip("torchvision")
    raw = np.array([[0.75, 0.5, 0.5, 1.0, 0.1, 0.9], [0.5, 0.5, 0.2, 0.1, 0.7, 0.2]], dtype=np.float32)
    wanted = torchvision.ops.box_convert(torch.from_numpy(raw[:, :4]), "cxcywh", "xyxy").numpy()
    decoded = HEADS["queries"].decode_numpy(raw)
    np.testing.assert_allclose(decoded.boxes_xyxy, wanted, atol=1e-6)
    np.testing.assert_allclose(decoded.boxes_xyxy[0], [0.5, 0, 1, 1], atol=1e-6)
    np.testing.assert_array_equal(decoded.class_ids, [1, 0])
    ranked = np.array([[0.75, 0.5, 0.5, 1.0, 0.9, 7.0]], dtype=np.float32)
    named = HEADS["ranked_queries"].decode_numpy(ranked)
    np.testing.assert_allclose(named.boxes_xyxy, [[0.5, 0, 1, 1]], atol=1e-6)
    assert (named.scores[0], named.class_ids[0]) == (np.float32(0.9), 7)


def test_a_broken_grid_gives_no_warning() -> None:
    raw = np.full((GRID_CANDIDATES, 8), 1e6, dtype=np.float32)
    with np.errstate(all="raise"):
        assert not np.isfinite(HEADS["grid"].decode_numpy(raw).boxes_xyxy).all()
