"""The networks of YOLOv5 (since its release 6) and of the anchor-based YOLOv3, to be built with random weights.

Sizes, channels and anchors are facts of ultralytics/yolov5 and ultralytics/yolov3; so is the order of the layers, as
it gives the weights their names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import nn

from .layers import C3, SPP, SPPF, Bottleneck, Concat, Conv, Detect
from .network import Network, Step

Anchors = tuple[tuple[tuple[int, int], ...], ...]
"""Width and height in pixels, of each anchor of each scale, finest scale first."""

_NORM_EPSILON, _NORM_MOMENTUM = 1e-3, 0.03
_CHANNEL_MULTIPLE = 8
_USUAL_ANCHORS: Anchors = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
_LARGE_ANCHORS: Anchors = (
    ((19, 27), (44, 40), (38, 94)),
    ((96, 68), (86, 152), (180, 137)),
    ((140, 301), (303, 264), (238, 542)),
    ((436, 615), (739, 380), (925, 792)),
)
_TINY_ANCHORS: Anchors = (((10, 14), (23, 27), (37, 58)), ((81, 82), (135, 169), (344, 319)))


class Map(NamedTuple):
    """The output of a layer."""

    place: int
    channels: int


@dataclass
class Plan:
    """A network under construction: every method adds a layer behind a map, and gives the map that it makes."""

    steps: list[Step] = field(default_factory=list)

    def add(self, layer: nn.Module, channels: int, *sources: Map) -> Map:
        """Any layer with that many output channels."""
        self.steps.append(Step(layer, tuple(source.place for source in sources)))
        return Map(len(self.steps) - 1, channels)

    def conv(self, source: Map, channels: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> Map:
        """Convolution with norm and activation."""
        return self.add(convolution(source.channels, channels, kernel, stride, padding), channels, source)

    def c3(self, source: Map, channels: int, depth: int, *, shortcut: bool = True) -> Map:
        """`depth` bottlenecks on one of two branches."""
        half = channels // 2
        layer = C3(
            cv1=convolution(source.channels, half),
            cv2=convolution(source.channels, half),
            cv3=convolution(2 * half, channels),
            m=nn.Sequential(*(bottleneck(half, half, half, shortcut=shortcut) for _ in range(depth))),
        )
        return self.add(layer, channels, source)

    def bottlenecks(self, source: Map, channels: int, depth: int = 1, *, shortcut: bool = True) -> Map:
        """`depth` bottlenecks in a row, each half as wide inside."""
        inside = (source.channels, *[channels] * (depth - 1))
        row = [bottleneck(each, channels // 2, channels, shortcut=shortcut) for each in inside]
        return self.add(row[0] if depth == 1 else nn.Sequential(*row), channels, source)

    def join(self, first: Map, second: Map) -> Map:
        """Both maps' channels."""
        return self.add(Concat(), first.channels + second.channels, first, second)

    def enlarge(self, source: Map) -> Map:
        """Twice as high and wide."""
        return self.add(nn.Upsample(scale_factor=2.0, mode="nearest"), source.channels, source)

    def pool(self, source: Map, stride: int) -> Map:
        """Maxima of 2 x 2 places."""
        return self.add(nn.MaxPool2d(2, stride), source.channels, source)

    def finish(self, scales: list[Map], anchors: Anchors, strides: tuple[int, ...], class_count: int) -> Network:
        """The head, and with it the whole network."""
        outputs = len(anchors[0]) * (class_count + 5)
        convolutions = nn.ModuleList(nn.Conv2d(scale.channels, outputs, 1) for scale in scales)
        pixels = torch.tensor(anchors, dtype=torch.float32)
        self.add(Detect(convolutions, anchors=pixels, strides=strides, class_count=class_count), outputs, *scales)
        return Network(self.steps).eval()


def convolution(inside: int, outside: int, kernel: int = 1, stride: int = 1, padding: int | None = None) -> Conv:
    """Convolution without bias, norm, activation; by default no place is lost at the border."""
    border = kernel // 2 if padding is None else padding
    return Conv(
        conv=nn.Conv2d(inside, outside, kernel, stride, border, bias=False),
        bn=nn.BatchNorm2d(outside, eps=_NORM_EPSILON, momentum=_NORM_MOMENTUM),
        act=nn.SiLU(),
    )


def bottleneck(inside: int, middle: int, outside: int, *, shortcut: bool) -> Bottleneck:
    """A 1 x 1 and a 3 x 3 convolution; a shortcut needs as many channels before as after."""
    return Bottleneck(
        cv1=convolution(inside, middle), cv2=convolution(middle, outside, 3), add=shortcut and inside == outside
    )


@dataclass(frozen=True, kw_only=True)
class _Size:
    """Factors of the numbers of bottlenecks and of channels."""

    depth: float
    width: float

    def channels(self, full: int) -> int:
        return math.ceil(full * self.width / _CHANNEL_MULTIPLE) * _CHANNEL_MULTIPLE

    def bottlenecks(self, full: int) -> int:
        return max(round(full * self.depth), 1)


_SIZES = {
    "n": _Size(depth=0.33, width=0.25),
    "s": _Size(depth=0.33, width=0.50),
    "m": _Size(depth=0.67, width=0.75),
    "l": _Size(depth=1.00, width=1.00),
    "x": _Size(depth=1.33, width=1.25),
}
_USUAL_STAGES = ((128, 3), (256, 6), (512, 9), (1024, 3))
_LARGE_STAGES = ((128, 3), (256, 6), (512, 9), (768, 3), (1024, 3))
"""Channels and bottlenecks of the backbone's stages, at strides 4, 8, 16 …, of size l."""
_FINEST_SCALE = 1
_NECK_DEPTH = 3


def _yolov5(size: _Size, stages: tuple[tuple[int, int], ...], anchors: Anchors, class_count: int) -> Network:
    """A backbone, a path from coarse to fine, and one back to coarse; the head sees the maps of the way back."""
    plan = Plan()
    widths = [size.channels(width) for width, _ in stages]
    depth = size.bottlenecks(_NECK_DEPTH)
    map_ = plan.conv(Map(-1, 3), size.channels(64), 6, 2, 2)
    backbone = []
    for width, (_, full_depth) in zip(widths, stages, strict=True):
        map_ = plan.c3(plan.conv(map_, width, 3, 2), width, size.bottlenecks(full_depth))
        backbone.append(map_)
    map_ = _fast_pyramid(plan, map_)
    laterals = []
    for level in range(len(stages) - 2, _FINEST_SCALE - 1, -1):
        laterals.append(lateral := plan.conv(map_, widths[level]))
        map_ = plan.join(plan.enlarge(lateral), backbone[level])
        # The next stage narrows it again, so the coarser of its steps keep the width of their level.
        map_ = plan.c3(map_, widths[level], depth, shortcut=False)
    scales = [map_]
    for lateral, width in zip(reversed(laterals), widths[_FINEST_SCALE + 1 :], strict=True):
        map_ = plan.join(plan.conv(map_, map_.channels, 3, 2), lateral)
        map_ = plan.c3(map_, width, depth, shortcut=False)
        scales.append(map_)
    strides = tuple(8 << scale for scale in range(len(scales)))
    return plan.finish(scales, anchors, strides, class_count)


def _fast_pyramid(plan: Plan, source: Map) -> Map:
    half = source.channels // 2
    layer = SPPF(
        cv1=convolution(source.channels, half),
        cv2=convolution(4 * half, source.channels),
        m=nn.MaxPool2d(5, 1, 2),
    )
    return plan.add(layer, source.channels, source)


def _pyramid(plan: Plan, source: Map, channels: int) -> Map:
    half, kernels = source.channels // 2, (5, 9, 13)
    layer = SPP(
        cv1=convolution(source.channels, half),
        cv2=convolution(half * (len(kernels) + 1), channels),
        m=nn.ModuleList(nn.MaxPool2d(kernel, 1, kernel // 2) for kernel in kernels),
    )
    return plan.add(layer, channels, source)


def _yolov3(class_count: int, *, pyramid: bool) -> Network:
    """Darknet-53, and a path from coarse to fine whose branches are the head's scales."""
    plan = Plan()
    map_ = plan.conv(Map(-1, 3), 32, 3)
    backbone = []
    for channels, depth in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        map_ = plan.bottlenecks(plan.conv(map_, channels, 3, 2), channels, depth)
        backbone.append(map_)
    map_ = plan.bottlenecks(map_, 1024, shortcut=False)
    map_ = _pyramid(plan, map_, 512) if pyramid else plan.conv(map_, 512)
    narrow = plan.conv(plan.conv(map_, 1024, 3), 512)
    coarse = plan.conv(narrow, 1024, 3)
    map_ = plan.join(plan.enlarge(plan.conv(narrow, 256)), backbone[3])
    map_ = plan.bottlenecks(plan.bottlenecks(map_, 512, shortcut=False), 512, shortcut=False)
    narrow = plan.conv(map_, 256)
    middle = plan.conv(narrow, 512, 3)
    map_ = plan.join(plan.enlarge(plan.conv(narrow, 128)), backbone[2])
    fine = plan.bottlenecks(plan.bottlenecks(map_, 256, shortcut=False), 256, 2, shortcut=False)
    return plan.finish([fine, middle, coarse], _USUAL_ANCHORS, (8, 16, 32), class_count)


def _yolov3_tiny(class_count: int) -> Network:
    """Convolutions and maxima in turns, and two scales."""
    plan = Plan()
    map_ = Map(-1, 3)
    for channels in (16, 32, 64, 128):
        map_ = plan.pool(plan.conv(map_, channels, 3), 2)
    backbone = plan.conv(map_, 256, 3)
    map_ = plan.conv(plan.pool(backbone, 2), 512, 3)
    # One more row and column, so that maxima at every place keep the size.
    map_ = plan.pool(plan.add(nn.ZeroPad2d((0, 1, 0, 1)), 512, map_), 1)
    narrow = plan.conv(plan.conv(map_, 1024, 3), 256)
    coarse = plan.conv(narrow, 512, 3)
    map_ = plan.join(plan.enlarge(plan.conv(narrow, 128)), backbone)
    fine = plan.conv(map_, 256, 3)
    return plan.finish([fine, coarse], _TINY_ANCHORS, (16, 32), class_count)


def _usual(size: str) -> Callable[[int], Network]:
    return lambda class_count: _yolov5(_SIZES[size], _USUAL_STAGES, _USUAL_ANCHORS, class_count)


def _large(size: str) -> Callable[[int], Network]:
    return lambda class_count: _yolov5(_SIZES[size], _LARGE_STAGES, _LARGE_ANCHORS, class_count)


ARCHITECTURES: Mapping[str, Callable[[int], Network]] = {
    **{f"yolov5{size}": _usual(size) for size in _SIZES},
    **{f"yolov5{size}6": _large(size) for size in _SIZES},
    "yolov3": lambda class_count: _yolov3(class_count, pyramid=False),
    "yolov3-spp": lambda class_count: _yolov3(class_count, pyramid=True),
    "yolov3-tiny": _yolov3_tiny,
}
"""Builders by name; each takes the number of classes."""
