"""The demo detector's network: anchor-free, single shot, three scales, under a million parameters.

The picture is halved first; then come a plain convolutional backbone whose stages split their channels, a top-down
and bottom-up path, and a head for each scale. Output as `sightline export` reads it: centre boxes in input pixels over
sigmoid class scores.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

STRIDES = (8, 16, 32)
"""Distances between the places of each scale, in pixels of the halved picture."""
HALVING = 2
# A rare-object prior: at the start every score is about 0.01, so that the background does not drown the rest.
_SCORE_BIAS = -4.6


class RawOutput(NamedTuple):
    """What the heads say, for all A places of all scales in order of stride.

    `boxes_xyxy`: float [n, A, 4] in input pixels. `logits`: float [n, A, classes]. `centres`: float [A, 2] in
    input pixels. `strides`: float [A, 1].
    """

    boxes_xyxy: Tensor
    logits: Tensor
    centres: Tensor
    strides: Tensor


def convolution(inside: int, outside: int, kernel: int = 3, *, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU (runtimes fold all three into one step)."""
    layer = nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outside, momentum=0.05), nn.ReLU(inplace=True))


class SplitStage(nn.Module):
    """Half of the channels goes through residual blocks, the other half passes by; both are mixed at the end."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = convolution(channels, channels, 1)
        self.blocks = nn.ModuleList(
            nn.Sequential(convolution(half, half), convolution(half, half)) for _ in range(depth)
        )
        self.leave = convolution(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Keep the shape [n, channels, h, w]."""
        beside, through = self.enter(features).chunk(2, 1)
        for block in self.blocks:
            through = through + block(through)
        mixed: Tensor = self.leave(torch.cat((beside, through), 1))
        return mixed


class WideView(nn.Module):
    """Adds what is seen through three stacked 5x5 maxima, so that the coarsest scale sees the whole picture."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.enter = convolution(channels, channels // 2, 1)
        self.pool = nn.MaxPool2d(5, 1, 2)
        self.leave = convolution(channels * 2, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Keep the shape [n, channels, h, w]."""
        views = [self.enter(features)]
        for _ in range(3):
            views.append(self.pool(views[-1]))
        seen: Tensor = self.leave(torch.cat(views, 1))
        return seen


class Backbone(nn.Module):
    """From [n, 3, h, w] to features at strides 8, 16 and 32 with `widths` channels."""

    def __init__(self, widths: tuple[int, int, int]) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.stem = nn.Sequential(convolution(3, 16, stride=2), convolution(16, 32, stride=2))
        self.fine = nn.Sequential(convolution(32, fine, stride=2), SplitStage(fine, 1))
        self.middle = nn.Sequential(convolution(fine, middle, stride=2), SplitStage(middle, 2))
        self.coarse = nn.Sequential(convolution(middle, coarse, stride=2), SplitStage(coarse, 1), WideView(coarse))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three feature maps, finest first."""
        fine = self.fine(self.stem(images))
        middle = self.middle(fine)
        return fine, middle, self.coarse(middle)


class Neck(nn.Module):
    """Carries meaning down to the fine scales and position back up to the coarse ones."""

    def __init__(self, widths: tuple[int, int, int], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(convolution(width, channels, 1) for width in widths)
        self.down = nn.ModuleList(convolution(channels * 2, channels) for _ in range(2))
        self.stride = nn.ModuleList(convolution(channels, channels, stride=2) for _ in range(2))
        self.up = nn.ModuleList(convolution(channels * 2, channels) for _ in range(2))
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")

    def forward(self, features: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Three maps of `channels` channels, finest first."""
        fine, middle, coarse = (layer(map_) for layer, map_ in zip(self.lateral, features, strict=True))
        middle = self.down[0](torch.cat((middle, self.enlarge(coarse)), 1))
        fine = self.down[1](torch.cat((fine, self.enlarge(middle)), 1))
        middle = self.up[0](torch.cat((middle, self.stride[0](fine)), 1))
        coarse = self.up[1](torch.cat((coarse, self.stride[1](middle)), 1))
        return fine, middle, coarse


class Head(nn.Module):
    """Four distances and the class logits for every place of one scale."""

    def __init__(self, channels: int, class_count: int) -> None:
        super().__init__()
        self.box_tower = convolution(channels, channels)
        self.class_tower = convolution(channels, channels)
        self.distances = nn.Conv2d(channels, 4, 1)
        self.logits = nn.Conv2d(channels, class_count, 1)
        nn.init.constant_(self.distances.bias, 1.0)  # type: ignore[arg-type]
        nn.init.constant_(self.logits.bias, _SCORE_BIAS)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Distances [n, h*w, 4] in strides, at least 0, and logits [n, h*w, classes]."""
        distances = nn.functional.softplus(self.distances(self.box_tower(features)))
        logits = self.logits(self.class_tower(features))
        return distances.flatten(2).transpose(1, 2), logits.flatten(2).transpose(1, 2)


class DemoDetector(nn.Module):
    """The whole network.

    `forward` takes float32 [n, 3, h, w] RGB in 0..1, h and w multiples of 64, and gives float32 [n, 4 + classes, A],
    A = h*w*(1/256 + 1/1024 + 1/4096): rows 0..3 are centre x, centre y, width and height in input pixels, the rest
    class scores in 0..1. It halves the picture, which costs nothing that these objects need and makes everything four
    times as fast. `raw` takes pictures that are halved already, and gives what training needs.
    """

    def __init__(self, class_count: int, *, widths: tuple[int, int, int] = (48, 96, 128), channels: int = 48) -> None:
        super().__init__()
        self.backbone = Backbone(widths)
        self.neck = Neck(widths, channels)
        self.heads = nn.ModuleList(Head(channels, class_count) for _ in STRIDES)

    def raw(self, images: Tensor) -> RawOutput:
        """Corner boxes and logits before the sigmoid, with the places they come from, for halved pictures."""
        maps = self.neck(self.backbone(images))
        distances, logits = zip(*(head(map_) for head, map_ in zip(self.heads, maps, strict=True)), strict=True)
        centres, strides = places((int(images.shape[2]), int(images.shape[3])))
        reach = torch.cat(distances, 1) * strides
        boxes_xyxy = torch.cat((centres - reach[..., :2], centres + reach[..., 2:]), 2)
        return RawOutput(boxes_xyxy, torch.cat(logits, 1), centres, strides)

    def forward(self, images: Tensor) -> Tensor:
        """See the class."""
        raw = self.raw(nn.functional.avg_pool2d(images, HALVING))
        upper_left, lower_right = (raw.boxes_xyxy * HALVING).chunk(2, 2)
        boxes_cxcywh = torch.cat(((upper_left + lower_right) / 2, lower_right - upper_left), 2)
        return torch.cat((boxes_cxcywh, raw.logits.sigmoid()), 2).transpose(1, 2)


def places(image_size_hw: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Centres (float32 [A, 2], x and y in pixels) and strides (float32 [A, 1]) of all places of all scales."""
    centres, strides = [], []
    for stride in STRIDES:
        rows, columns = (torch.arange(side // stride, dtype=torch.float32) + 0.5 for side in image_size_hw)
        y, x = torch.meshgrid(rows * stride, columns * stride, indexing="ij")
        centres.append(torch.stack((x, y), -1).reshape(-1, 2))
        strides.append(torch.full((len(centres[-1]), 1), float(stride)))
    return torch.cat(centres), torch.cat(strides)
