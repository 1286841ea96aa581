"""Small networks as other repositories build and export them, with seeded weights that detect something."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline_export.pictures import draw_scene

CLASSES = 4
STRIDES = (8, 16, 32)
WIDTH = 16


def _stage(inputs: int, outputs: int, *, stride: int = 2) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.1)
    )


class Backbone(nn.Module):
    """Features at strides of 8, 16 and 32 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(_stage(3, WIDTH), _stage(WIDTH, WIDTH), _stage(WIDTH, WIDTH))
        self.second = _stage(WIDTH, WIDTH)
        self.third = _stage(WIDTH, WIDTH)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        fine = self.first(pictures)
        middle = self.second(fine)
        return [fine, middle, self.third(middle)]


class Yolox(nn.Module):
    """Decoupled head, sigmoid on objectness and classes only, as YOLOX leaves it with `decode_in_inference` off."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.boxes = nn.ModuleList(nn.Conv2d(WIDTH, 4, 1) for _ in STRIDES)
        self.objects = nn.ModuleList(nn.Conv2d(WIDTH, 1, 1) for _ in STRIDES)
        self.classes = nn.ModuleList(nn.Conv2d(WIDTH, CLASSES, 1) for _ in STRIDES)

    def forward(self, pictures: Tensor) -> Tensor:
        scales = []
        for index, features in enumerate(self.backbone(pictures)):
            parts = [
                self.boxes[index](features),
                self.objects[index](features).sigmoid(),
                self.classes[index](features).sigmoid(),
            ]
            scales.append(torch.cat(parts, 1).flatten(2))
        return torch.cat(scales, 2).permute(0, 2, 1)


class AnchorBased(nn.Module):
    """Three anchors in each cell, decoded as YOLOv5 does: `(2 s(t) - 0.5 + cell) * stride`, `(2 s(t))**2 * anchor`."""

    anchors: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.heads = nn.ModuleList(nn.Conv2d(WIDTH, 3 * (5 + CLASSES), 1) for _ in STRIDES)
        self.register_buffer("anchors", torch.tensor([[10.0, 13.0], [33.0, 23.0], [62.0, 45.0]]))

    def forward(self, pictures: Tensor) -> Tensor:
        scales = []
        for index, features in enumerate(self.backbone(pictures)):
            raw = self.heads[index](features)
            batch, _, height, width = raw.shape
            raw = raw.view(batch, 3, 5 + CLASSES, height, width).permute(0, 1, 3, 4, 2).sigmoid()
            rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
            cells = torch.stack((columns, rows), -1).to(raw.dtype)
            centre = (raw[..., :2] * 2 - 0.5 + cells) * STRIDES[index]
            extent = (raw[..., 2:4] * 2) ** 2 * self.anchors.view(1, 3, 1, 1, 2)
            scales.append(torch.cat((centre, extent, raw[..., 4:]), -1).view(batch, -1, 5 + CLASSES))
        return torch.cat(scales, 1)


class Queries(nn.Module):
    """A hundred learnt queries that look at the coarsest features, as DETR and RT-DETR do; scores by sigmoid."""

    def __init__(self, queries: int = 100) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.queries = nn.Parameter(torch.randn(1, queries, WIDTH))
        self.place = nn.Conv2d(2, WIDTH, 1)
        self.attention = nn.MultiheadAttention(WIDTH, 2, batch_first=True)
        self.boxes = nn.Linear(WIDTH, 4)
        self.classes = nn.Linear(WIDTH, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.backbone(pictures)[-1]
        memory = features.flatten(2).permute(0, 2, 1)
        queries = self.queries.expand(pictures.shape[0], -1, -1)
        seen, _ = self.attention(queries, memory, memory, need_weights=False)
        mixed = torch.nn.functional.layer_norm(queries + 3 * seen, (WIDTH,))
        return torch.cat((self.boxes(mixed).sigmoid(), self.classes(mixed).sigmoid()), -1)


def lively(network: nn.Module, *, image_size: int, scale: float, seed: int = 0) -> Any:
    """The network for evaluation, its weights seeded and its batch norms taken from drawn pictures.

    Args:
        network: fresh.
        image_size: side of the pictures, in pixels.
        scale: what a value of 255 is for it.
        seed: for the weights.
    """
    generator = torch.Generator().manual_seed(seed)
    scenes = np.stack([draw_scene((image_size, image_size), seed=each) for each in range(4)])
    pictures = torch.from_numpy(scenes).permute(0, 3, 1, 2).float() * (scale / 255)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                fan_in = parameter[0].numel()
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * (1.5 / fan_in) ** 0.5)
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None
        network.train()
        network(pictures)
    return network.eval()


def write_onnx(
    network: nn.Module, path: Path, *, image_size: int, opset: int, batch: str | None = None, half: bool = False
) -> Path:
    """Export as those repositories do, with the tracer; a batch of one is fixed where `batch` is no name."""
    picture = torch.zeros(1, 3, image_size, image_size)
    if half:
        network, picture = network.half(), picture.half()
    axes = {"images": {0: batch}, "output": {0: batch}} if batch else None
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (picture,),
            path,
            dynamo=False,
            opset_version=opset,
            input_names=["images"],
            output_names=["output"],
            dynamic_axes=axes,
        )
    return path
