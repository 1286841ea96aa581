"""The layers of YOLOv5 and of the anchor-based YOLOv3, made of given parts.

Parts have the names that they have in the checkpoints, so that weights keep their places. A layer takes its parts
ready-made, whether they come from a file or from `architectures`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

_VALUES_BESIDE_CLASSES = 5
"""Centre x, centre y, width, height, objectness."""


class Composite(nn.Module):
    """A layer of named parts.

    `parts` names the parts, all of them needed; `flags` names plain yes-or-no attributes.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    flags: ClassVar[tuple[str, ...]] = ()
    act: nn.Module
    add: bool
    bn: nn.Module
    conv: nn.Module
    cv1: nn.Module
    cv2: nn.Module
    cv3: nn.Module
    cv4: nn.Module
    m: nn.Module
    shortcut: nn.Module

    def __init__(self, **values: nn.Module | bool) -> None:
        super().__init__()
        if {*values} != {*self.parts, *self.flags}:
            raise TypeError(f"a {type(self).__name__} is made of {self.parts + self.flags}, not of {tuple(values)}")
        for name, value in values.items():
            setattr(self, name, value)


class Conv(Composite):
    """Convolution, batch normalisation, activation."""

    parts = ("conv", "bn", "act")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h', w']."""
        activated: Tensor = self.act(self.bn(self.conv(features)))
        return activated


class Bottleneck(Composite):
    """Two convolutions after each other, beside a shortcut if `add`."""

    parts = ("cv1", "cv2")
    flags = ("add",)

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h, w]."""
        through: Tensor = self.cv2(self.cv1(features))
        return features + through if self.add else through


class BottleneckCSP(Composite):
    """Bottlenecks on one branch, a bare convolution on the other (releases 1 to 3)."""

    parts = ("cv1", "cv2", "cv3", "cv4", "bn", "act", "m")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h, w]."""
        branches = torch.cat((self.cv3(self.m(self.cv1(features))), self.cv2(features)), 1)
        joined: Tensor = self.cv4(self.act(self.bn(branches)))
        return joined


class C3(Composite):
    """The same idea with three convolutions (release 4 and later); `m` is whatever stands on the first branch."""

    parts = ("cv1", "cv2", "cv3", "m")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h, w]."""
        joined: Tensor = self.cv3(torch.cat((self.m(self.cv1(features)), self.cv2(features)), 1))
        return joined


class SPP(Composite):
    """Maxima of several sizes beside each other."""

    parts = ("cv1", "cv2", "m")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h, w]."""
        narrow = self.cv1(features)
        joined: Tensor = self.cv2(torch.cat((narrow, *(pool(narrow) for pool in self.m.children())), 1))
        return joined


class SPPF(Composite):
    """The same with one size of maximum, taken three times over (release 6 and later)."""

    parts = ("cv1", "cv2", "m")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h, w]."""
        views = [self.cv1(features)]
        for _ in range(3):
            views.append(self.m(views[-1]))
        joined: Tensor = self.cv2(torch.cat(views, 1))
        return joined


class Focus(Composite):
    """Every second row and column apart, as channels (releases 1 to 5)."""

    parts = ("conv",)

    def forward(self, pictures: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h/2, w/2]."""
        places = ((0, 0), (1, 0), (0, 1), (1, 1))
        halves = [pictures[..., row::2, column::2] for row, column in places]
        convolved: Tensor = self.conv(torch.cat(halves, 1))
        return convolved


class GhostConv(Composite):
    """Half of the channels by a convolution, the other half by a cheap one from these."""

    parts = ("cv1", "cv2")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h', w']."""
        half = self.cv1(features)
        return torch.cat((half, self.cv2(half)), 1)


class GhostBottleneck(Composite):
    """Ghost convolutions beside a shortcut that may hold layers itself."""

    parts = ("conv", "shortcut")

    def forward(self, features: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c', h', w']."""
        joined: Tensor = self.conv(features) + self.shortcut(features)
        return joined


class Concat(nn.Module):
    """Several feature maps as one."""

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps [n, c_i, h, w] to [n, sum of c_i, h, w]."""
        return torch.cat(tuple(features), 1)


class Detect(nn.Module):
    """The head: a prediction for each anchor at each place of each scale, decoded to pixels.

    With s the sigmoid of the raw value, the centre lies at (2s - 0.5 + place) * stride and a side is (2s)^2 * anchor
    (ultralytics/yolov5 since its release 1).

    Args:
        m: a convolution to anchors * (5 + classes) channels for each scale; none where the network before has them.
        anchors: float32 [scales, anchors, 2], width and height in pixels of the input.
        strides: pixels from one place to the next, for each scale.
        class_count: number of classes.

    Attributes:
        traced_any_size: whether a trace of the network computes the places from the picture's size.
    """

    anchors: Tensor
    traced_any_size = False

    def __init__(self, m: nn.ModuleList, *, anchors: Tensor, strides: tuple[int, ...], class_count: int) -> None:
        super().__init__()
        self.m = m
        self.strides = strides
        self.class_count = class_count
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Maps [n, c_i, h / stride_i, w / stride_i] to [n, A, 5 + classes]: pixels, objectness, class scores."""
        maps = (convolve(map_) for convolve, map_ in zip(self.m, features, strict=True)) if len(self.m) else features
        return torch.cat([self._decode(map_, scale) for scale, map_ in enumerate(maps)], 1)

    def _decode(self, raw: Tensor, scale: int) -> Tensor:
        anchor_count, value_count = self.anchors.shape[1], self.class_count + _VALUES_BESIDE_CLASSES
        height, width = raw.shape[2], raw.shape[3]
        if not self.traced_any_size:
            # Plain numbers, so that a trace of the network has the places as constants.
            height, width = int(height), int(width)
        split = raw.view(-1, anchor_count, value_count, height, width).permute(0, 1, 3, 4, 2)
        centre, side, scores = torch.split(split.sigmoid(), [2, 2, value_count - 4], 4)
        rows = torch.arange(height, dtype=raw.dtype, device=raw.device)
        columns = torch.arange(width, dtype=raw.dtype, device=raw.device)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        centre = (centre * 2 + (torch.stack((x, y), 2) - 0.5)) * self.strides[scale]
        side = (side * 2) ** 2 * self.anchors[scale].view(1, anchor_count, 1, 1, 2)
        return torch.cat((centre, side, scores), 4).reshape(-1, anchor_count * height * width, value_count)
