import numpy as np
import pytest

from sightline import boxes

EMPTY = np.zeros((0, 4), np.float32)


def test_no_boxes() -> None:
    assert boxes.areas(EMPTY).shape == (0,)
    assert boxes.pairwise_iou(EMPTY, np.ones((3, 4), np.float32)).shape == (0, 3)
    assert boxes.xywh_to_xyxy(EMPTY).shape == (0, 4)
    kept = boxes.non_maximum_suppression(EMPTY, np.zeros(0), np.zeros(0, int), iou_threshold=0.5, max_detections=9)
    assert kept.size == 0


@pytest.mark.parametrize(
    ("first", "second", "iou"),
    [
        ([0, 0, 2, 2], [0, 0, 2, 2], 1.0),
        ([0, 0, 2, 2], [1, 0, 3, 2], 1 / 3),
        ([0, 0, 2, 2], [2, 0, 4, 2], 0.0),
        ([0, 0, 2, 2], [5, 5, 4, 4], 0.0),
        ([1, 1, 1, 1], [1, 1, 1, 1], 0.0),
    ],
)
def test_iou_of_a_pair(first: list[float], second: list[float], iou: float) -> None:
    got = boxes.pairwise_iou(np.array([first], float), np.array([second], float))
    assert got[0, 0] == pytest.approx(iou)


def test_centre_form_and_back() -> None:
    xyxy = np.array([[1, 2, 5, 10], [0, 0, 1, 1]], float)
    assert boxes.xyxy_to_xywh(xyxy).tolist() == [[3, 6, 4, 8], [0.5, 0.5, 1, 1]]
    assert np.array_equal(boxes.xywh_to_xyxy(boxes.xyxy_to_xywh(xyxy)), xyxy)


def test_suppression_keeps_the_best_of_each_class() -> None:
    same_place = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10], [50, 50, 60, 60]], float)
    scores, class_ids = np.array([0.5, 0.9, 0.8, 0.1]), np.array([0, 0, 1, 0])
    kept = boxes.non_maximum_suppression(same_place, scores, class_ids, iou_threshold=0.5, max_detections=9)
    assert kept.tolist() == [1, 2, 3]
    first = boxes.non_maximum_suppression(same_place, scores, class_ids, iou_threshold=0.5, max_detections=1)
    assert first.tolist() == [1]


@pytest.mark.parametrize(
    ("size_hw", "resized_hw", "left", "top"),
    [
        ((480, 640), (480, 640), 0, 80),
        ((853, 1280), (426, 640), 0, 107),  # 426.5 rounds to the even 426
        ((1280, 853), (640, 426), 107, 0),
        ((375, 500), (480, 640), 0, 80),
        ((4000, 1), (640, 1), 319, 0),  # 0.16 would round to no pixel at all
        ((640, 427), (640, 427), 106, 0),
    ],
)
def test_letterbox(size_hw: tuple[int, int], resized_hw: tuple[int, int], left: int, top: int) -> None:
    got = boxes.letterbox(image_size_hw=size_hw, input_size=640)
    assert (got.resized_hw, got.left, got.top) == (resized_hw, left, top)


@pytest.mark.parametrize("size_hw", [(480, 640), (427, 640), (853, 1280), (1281, 1277), (700, 400), (1, 900), (31, 33)])
def test_a_rectangle_is_the_middle_of_the_square(size_hw: tuple[int, int]) -> None:
    square = boxes.letterbox(image_size_hw=size_hw, input_size=640)
    rectangle = boxes.letterbox(image_size_hw=size_hw, input_size=640, stride=32)
    assert square.input_hw == (640, 640)
    assert rectangle.resized_hw == square.resized_hw
    for side, resized in zip(rectangle.input_hw, square.resized_hw, strict=True):
        assert side % 32 == 0
        assert 0 <= side - resized < 32
    height, width = rectangle.input_hw
    assert (square.top - rectangle.top, square.left - rectangle.left) == ((640 - height) / 2, (640 - width) / 2)


def test_boxes_return_to_the_original_and_stay_inside() -> None:
    fitted = boxes.letterbox(image_size_hw=(960, 1280), input_size=640)
    got = fitted.to_original(np.array([[10, 90, 100, 200], [-50, 0, 700, 640]], float), image_size_hw=(960, 1280))
    assert got.tolist() == [[20, 20, 200, 240], [0, 0, 1280, 960]]


def test_each_axis_has_its_own_scale() -> None:
    """461 rows become 481, a little more than their share: a tenth of a percent, a pixel at the far end."""
    fitted = boxes.letterbox(image_size_hw=(461, 614), input_size=640)
    whole = np.array([[fitted.left, fitted.top, fitted.left + 640, fitted.top + 481]], float)
    assert fitted.to_original(whole, image_size_hw=(461, 614)) == pytest.approx(np.array([[0, 0, 614, 461]]))
    assert fitted.gain_hw == pytest.approx((481 / 461, 640 / 614))


@pytest.mark.parametrize(
    ("size_hw", "resized_hw"),
    [
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((800, 1333), (800, 1333)),
        ((600, 600), (800, 800)),
        ((400, 1000), (533, 1333)),  # the longer side limits
        ((1080, 1920), (749, 1333)),
        ((385, 400), (799, 831)),  # 385 * (800 / 385) is less than 800 in float64
        ((4000, 1), (1333, 1)),  # torchvision would come to 0 and fail
        ((1, 1), (800, 800)),
    ],
)
def test_resized_shape(size_hw: tuple[int, int], resized_hw: tuple[int, int]) -> None:
    assert boxes.resized_shape(image_size_hw=size_hw, shorter=800, longest=1333) == resized_hw
