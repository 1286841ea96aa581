"""Networks that look at the rectangle around a picture: their graphs, and who cannot be one."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from tests.export.lint_repository import INFO, write_good_repository
from tests.export.tiny import TINY_SIZE, prediction, read_rgb, tiny_model

from sightline.contract import DEFAULT_SCORE_THRESHOLD, RECTANGLE, SCORE_FLOOR
from sightline.detector_info import DetectorInfo
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing, PreprocessingKind
from sightline.verification import Verification
from sightline_export.config import network_config
from sightline_export.graph import GraphSettings, compose
from sightline_export.graph.compose import postprocess
from sightline_export.graph.take_apart import take_apart
from sightline_export.heads import ANCHORS_LAST, GRID, HEADS, Head
from sightline_export.lint import lint
from sightline_export.making import make_detector
from sightline_export.options import ExportOptions, NmsKind
from sightline_export.pictures import draw_scene, fit, served_inputs
from sightline_export.pixels import ZERO_TO_ONE
from sightline_export.raw import RawNetwork
from sightline_export.reference import detect
from sightline_export.sample import open_sample
from sightline_export.session import Session
from sightline_export.sizing import size_repository
from sightline_export.sources import load
from sightline_export.sources.chosen import check_takes_rect
from sightline_export.tensorrt.network import plan_graph
from sightline_export.tensorrt.plan_config import squared_info
from sightline_export.verify import probe, verify

RECT = Preprocessing.rect(TINY_SIZE)
RECT_INFO = DetectorInfo(class_names=("a", "b", "c"), preprocessing=RECT, head="anchors_last", max_detections=20)
SQUARES_CANDIDATES = 2100
THINNEST_CANDIDATES = 210
PLACE_NAMES: tuple[int | str, ...] = (3, "height", "width")


def settings_for(info: DetectorInfo, *, candidates: int, nms: NmsKind = "operator") -> GraphSettings:
    return GraphSettings(
        preprocessing=info.preprocessing,
        pixels=ZERO_TO_ONE,
        class_count=len(info.class_names),
        candidate_count=candidates,
        max_detections=info.max_detections,
        iou_threshold=info.iou_threshold,
        score_floor=SCORE_FLOOR,
        nms=nms,
        multi_label=info.multi_label,
    )


@pytest.mark.parametrize("head", ["anchors_last", "anchors_first"])
@pytest.mark.parametrize(
    ("nms", "max_detections", "multi_label"),
    [("operator", 20, False), ("operator", 300, False), ("static", 20, False), ("operator", 20, True)],
)
def test_the_thinnest_rectangle_has_few_candidates(
    head: str, nms: NmsKind, max_detections: int, multi_label: bool
) -> None:
    """Fewer than there are slots, than the static suppression compares, and than pairs are counted in."""
    info = replace(RECT_INFO, head=head, max_detections=max_detections, multi_label=multi_label)
    session = Session(postprocess(HEADS[head], settings_for(info, candidates=SQUARES_CANDIDATES, nms=nms)))
    raw = prediction(head, classes=3, candidates=THINNEST_CANDIDATES)
    size_hw = (40, 900)
    assert RECT.seen_hw(size_hw) == (32, 320)
    outputs = session.run_named(
        {
            "raw": raw[None],
            "original_shape": np.array([[*size_hw, 3]]),
            "score_threshold": np.array([[0.05]], np.float32),
            "rectangle": np.zeros((1, 1, 10), np.int32),
        }
    )
    count, boxes, scores, classes = (output[0] for output in outputs.values())
    wanted = detect(raw, info=info, image_size_hw=size_hw, score_threshold=0.05)
    assert count.tolist() == [len(wanted.scores)]
    assert len(wanted.scores) >= 20
    np.testing.assert_allclose(scores[: len(wanted.scores)], wanted.scores, atol=1e-6)
    np.testing.assert_allclose(boxes[: len(wanted.scores)], wanted.boxes_xyxy, atol=1e-2)
    assert classes[: len(wanted.scores)].tolist() == wanted.class_ids.tolist()


@pytest.fixture(scope="module")
def raw_rect(shared_data: Path) -> RawNetwork:
    """yolov8n for pictures of 320 pixels and any aspect."""
    return load(shared_data / "weights" / "yolov8n.pt", ExportOptions(rect=True, image_size=TINY_SIZE))


def info_of(raw: RawNetwork) -> DetectorInfo:
    return DetectorInfo(
        class_names=raw.class_names, preprocessing=raw.preprocessing, stride=raw.stride, head=raw.head.name
    )


def composed(raw: RawNetwork) -> onnx.ModelProto:
    return compose(raw.model, raw.head, settings_for(info_of(raw), candidates=SQUARES_CANDIDATES))


def test_every_aspect_finds_what_the_network_says(raw_rect: RawNetwork) -> None:
    """Of each aspect a batch of two, and one so thin that there are fewer places than slots."""
    sizes = [(240, 320), (480, 640), (400, 300), (640, 480), (320, 320), (180, 320), (24, 900), (900, 24)]
    pictures = [draw_scene(size_hw, seed=seed) for seed, size_hw in enumerate(sizes)]
    raw_outputs = probe(raw_rect, pictures)
    assert [output.shape[1] for output in raw_outputs] == [1680] * 4 + [2100, 1260, 210, 210]
    model, info = composed(raw_rect), info_of(raw_rect)
    check = verify(model, info, pictures, raw_outputs, candidate_limit=SQUARES_CANDIDATES)
    assert check.matched > 0.99 * check.reference_detections > 20


def test_every_class_of_every_place_of_a_square(raw_rect: RawNetwork, tmp_path: Path) -> None:
    """Pairs of a box and a class are counted off, so the graph must know how many places the square has."""
    cv2.imwrite(str(tmp_path / "square.png"), draw_scene((320, 320), seed=5))
    options = ExportOptions(rect=True, image_size=TINY_SIZE, multi_label=True)
    made = make_detector(raw_rect, options, open_sample(tmp_path), calibration=None, progress=lambda _: None)
    assert made.check.pictures == 5
    assert made.check.matched > 0.99 * made.check.reference_detections > 20


@pytest.mark.parametrize(
    ("source", "options", "preprocessing"),
    [
        ("original_yolov5n6.random", ExportOptions(rect=True, image_size=TINY_SIZE), "rect_320_64"),
        # Its attention reshapes by height and width, and its head ranks places.
        ("yolo26n.yaml", ExportOptions(rect=True, image_size=TINY_SIZE, nms="none", max_detections=200), "rect_320_32"),
    ],
)
def test_other_networks(source: str, options: ExportOptions, preprocessing: str, small_sample: Path) -> None:
    raw = load(Path(source), options)
    assert raw.preprocessing.model_name == preprocessing
    made = make_detector(raw, options, open_sample(small_sample), calibration=None, progress=lambda _: None)
    assert made.difference.worst < 1e-3
    assert made.check.matched > 0.99 * made.check.reference_detections > 100


def test_a_mixed_request_sees_what_holds_all_of_it(raw_rect: RawNetwork, shared_data: Path) -> None:
    """A wide and a tall photo together: the square, and the same as a network of squares finds in it."""
    photos = [read_rgb(file) for file in sorted((shared_data / "coco" / "images").iterdir())[:20]]
    sizes_hw = [(photo.shape[0], photo.shape[1]) for photo in photos]
    tall = next(index for index, (height, width) in enumerate(sizes_hw) if height > width)
    wide = next(index for index, (height, width) in enumerate(sizes_hw) if height < width)
    inputs = served_inputs([photos[wide], photos[tall]], RECT, [DEFAULT_SCORE_THRESHOLD] * 2)
    assert inputs[RECTANGLE.name].shape == (2, 10, 10)
    outputs = Session(composed(raw_rect)).run_named(inputs)
    session = Session(raw_rect.model)
    info = replace(info_of(raw_rect), preprocessing=Preprocessing.letterbox(TINY_SIZE))
    for row, index in enumerate((wide, tall)):
        [raw] = session.run([ZERO_TO_ONE.apply(fit(photos[index], TINY_SIZE))[None]])
        wanted = detect(raw[0], info=info, image_size_hw=sizes_hw[index], score_threshold=DEFAULT_SCORE_THRESHOLD)
        count = len(wanted.scores)
        assert outputs["num_detections"][row].tolist() == [count]
        assert count > 0
        np.testing.assert_allclose(outputs["boxes"][row, :count], wanted.boxes_xyxy, atol=0.1)


def test_front_and_network_can_be_taken_out_again(raw_rect: RawNetwork) -> None:
    parts = take_apart(composed(raw_rect))
    assert [value.name for value in parts.before_back.graph.input] == ["images", RECTANGLE.name]
    picture = draw_scene((300, 640), seed=1)
    inputs = served_inputs([picture], RECT, [0.25])
    came = Session(parts.before_back).run_named({name: inputs[name] for name in ("images", "rectangle")})
    [wanted] = probe(raw_rect, [picture])
    np.testing.assert_allclose(came[parts.raw][0], wanted, atol=1e-3)


def test_an_onnx_file_with_free_sides(raw_rect: RawNetwork, save: Callable[..., Path]) -> None:
    options = ExportOptions(rect=True, image_size=TINY_SIZE)
    again = load(save(raw_rect.model), options)
    assert again.preprocessing == RECT
    pictures = [draw_scene(size_hw, seed=3) for size_hw in ((240, 320), (320, 100))]
    for one, other in zip(probe(again, pictures), probe(raw_rect, pictures), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize(
    ("dims", "reason"),
    [
        ((3, TINY_SIZE, TINY_SIZE), r"is fixed to 320 x 320; export it anew with free height and width"),
        (PLACE_NAMES, r"gives 2100 candidates for 32 x 320 pixels, where 210 follow"),
    ],
    ids=["fixed", "blind"],
)
def test_an_onnx_file_that_takes_none(dims: tuple[int | str, ...], reason: str, save: Callable[..., Path]) -> None:
    output = prediction("anchors_last", classes=3, candidates=SQUARES_CANDIDATES)
    source = save(tiny_model(output, picture_dims=dims))
    decided = load(source, ExportOptions(image_size=TINY_SIZE))
    assert decided.preprocessing == Preprocessing.letterbox(TINY_SIZE)
    assert re.search(reason.split(";", maxsplit=1)[0], decided.square_because)
    with pytest.raises(InvalidOptionError, match=reason):
        load(source, ExportOptions(image_size=TINY_SIZE, rect=True))


@pytest.mark.parametrize(
    ("kind", "head", "reason"),
    [
        ("stretch", HEADS["ranked_queries"], "this one takes stretch"),
        ("resize", HEADS["end_to_end"], "this one takes resize"),
        ("letterbox", GRID, "those of the square"),
    ],
)
def test_networks_that_take_none(kind: PreprocessingKind, head: Head, reason: str) -> None:
    check_takes_rect(ExportOptions(), kind, head)
    with pytest.raises(InvalidOptionError, match=reason):
        check_takes_rect(ExportOptions(rect=True), kind, head)
    check_takes_rect(ExportOptions(rect=True), "letterbox", ANCHORS_LAST)


def test_detections_that_are_ranked_need_places(tmp_path: Path) -> None:
    options = ExportOptions(rect=True, image_size=TINY_SIZE, nms="none")
    with pytest.raises(InvalidOptionError, match=r"32 x 320, has 210 places for 300 detections"):
        load(Path("yolo26n.yaml"), options)


def test_a_plan_sees_the_square(raw_rect: RawNetwork) -> None:
    """Of a network of rectangles, as the graph would have been composed of the same network for squares."""
    info = info_of(raw_rect)
    square = squared_info(info)
    assert square.preprocessing == Preprocessing.letterbox(TINY_SIZE)
    assert "rectangles" in square.square_because
    settings = settings_for(square, candidates=SQUARES_CANDIDATES, nms="static")
    wanted = Session(compose(raw_rect.model, raw_rect.head, settings))
    planned = plan_graph(composed(raw_rect), info, "fp32")
    assert [value.name for value in planned.graph.input] == ["images", "original_shape", "score_threshold"]
    inputs = served_inputs([draw_scene((300, 640), seed=1)], square.preprocessing, [SCORE_FLOOR])
    expected, came = wanted.run_named(inputs), Session(planned).run_named(inputs)
    assert expected["num_detections"].min() > 5
    for name, values in expected.items():
        np.testing.assert_allclose(came[name], values, atol=1e-3)


def test_what_was_proved_of_rectangles_is_not_proved_of_squares() -> None:
    checked = Verification(outcome="passed", reference=100, matched=100, images=10, precision="fp32")
    proved = replace(RECT_INFO, verification=checked)
    assert (verification := squared_info(proved).verification) is not None
    assert not verification.verified
    as_it_is = replace(proved, preprocessing=Preprocessing.letterbox(TINY_SIZE))
    assert squared_info(as_it_is) is as_it_is


@pytest.mark.parametrize(
    ("source", "options", "preprocessing", "because"),
    [
        ("yolov8n.yaml", ExportOptions(), Preprocessing.rect(TINY_SIZE), ""),
        ("yolov8n.yaml", ExportOptions(rect=False), Preprocessing.letterbox(TINY_SIZE), ""),
        ("yolov8n.yaml", ExportOptions(precision="fp16"), Preprocessing.letterbox(TINY_SIZE), "fp16 is for GPUs"),
        ("yolo26n.yaml", ExportOptions(nms="none"), Preprocessing.letterbox(TINY_SIZE), "has 210 places for 300"),
        ("original_yolov5s.random", ExportOptions(), Preprocessing.rect(TINY_SIZE), ""),
    ],
)
def test_rectangles_where_they_are_possible(
    source: str, options: ExportOptions, preprocessing: Preprocessing, because: str
) -> None:
    raw = load(Path(source), replace(options, image_size=TINY_SIZE))
    assert raw.preprocessing == preprocessing
    assert because in raw.square_because
    assert bool(raw.square_because) == bool(because)


def test_a_repository_of_rectangles(tmp_path: Path) -> None:
    """The linter finds nothing in it, and its pools are those of squares and a little more."""
    sizes = []
    for name, preprocessing in (("square", Preprocessing.letterbox()), ("rect", Preprocessing.rect())):
        folder = write_good_repository(tmp_path / name, info=replace(INFO, preprocessing=preprocessing))
        assert lint(folder) == []
        sizes.append(size_repository(folder, gpus=1, images_in_flight=0, max_image_bytes=1 << 20))
    assert sizes[0].left_out == sizes[1].left_out == ()
    assert sizes[0].decoding_bytes == sizes[1].decoding_bytes
    assert sizes[0].cuda_pool_bytes <= sizes[1].cuda_pool_bytes


def test_a_network_is_warmed_up_with_photographs_aspect() -> None:
    config = network_config(detector="some", info=replace(INFO, preprocessing=Preprocessing.rect()))
    assert {tuple(warmup.inputs[RECTANGLE.name].dims) for warmup in config.model_warmup} == {(15, 20)}
