"""The size and the pixels of a picture behind torchvision's own transform, and behind ours."""

import cv2
import numpy as np
import pytest
import torch
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from sightline.boxes import resized_shape

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


@pytest.mark.parametrize(("shorter", "longest"), [(800, 1333), (320, 640)])
def test_the_size_is_that_of_torchvision(shorter: int, longest: int) -> None:
    transform = GeneralizedRCNNTransform(shorter, longest, *IMAGENET).eval()
    # The sides below become a pixel less than `shorter` or `longest`.
    lossy = [(385, 400), (97, 98), (1329, 2510), (3504, 2858), (780, 996), (77, 90), (308, 400)]
    for height, width in [*np.random.default_rng(shorter).integers(60, 3000, (50, 2)).tolist(), *lossy]:
        # A tensor on `meta` has a shape and no pixels.
        resized, _ = transform.resize(torch.empty(3, height, width, device="meta"))
        assert resized_shape(image_size_hw=(height, width), shorter=shorter, longest=longest) == resized.shape[1:]


@pytest.mark.parametrize("size_hw", [(61, 97), (640, 480), (1500, 900)])
def test_the_pixels_differ_by_rounding_alone(size_hw: tuple[int, int]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    transform = GeneralizedRCNNTransform(320, 640, *IMAGENET).eval()
    wanted, _ = transform.resize(torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1))
    height, width = resized_shape(image_size_hw=size_hw, shorter=320, longest=640)
    came = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    assert np.abs(came.astype(np.float32) - wanted.permute(1, 2, 0).numpy()).max() <= 1
