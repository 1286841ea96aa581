"""Writes checkpoints in the format of ultralytics/yolov5, whose classes are nowhere installed."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sightline_export.sources.yolov5.architectures import Map, Plan
from sightline_export.sources.yolov5.layers import Concat, Detect
from sightline_export.sources.yolov5.network import Network

MODULES = {"Network": "models.yolo", "Detect": "models.yolo"}
COMMON = "models.common"


def tiny_network(class_count: int = 2, *, seed: int = 0) -> Network:
    """A few layers of most sorts, and two scales, at strides 8 and 16."""
    torch.manual_seed(seed)
    plan = Plan()
    fine = plan.c3(plan.conv(plan.conv(plan.conv(Map(-1, 3), 8, 6, 2, 2), 8, 3, 2), 8, 3, 2), 8, 1)
    coarse = plan.bottlenecks(plan.conv(fine, 16, 3, 2), 16)
    fine = plan.conv(plan.join(plan.enlarge(coarse), fine), 8)
    anchors = (((10, 13), (16, 30), (33, 23)), ((30, 61), (62, 45), (59, 119)))
    network = plan.finish([fine, coarse], anchors, (8, 16), class_count)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            assert layer.running_mean is not None
            nn.init.normal_(layer.running_mean)
    return network


def as_original(network: Network, *, names: Any, model_class: str = "DetectionModel") -> Any:
    """The same weights in objects of classes with the original names and attributes."""
    model = _instance("models.yolo", model_class)
    model.model = _twin(network.model)
    for index, (layer, sources) in enumerate(zip(model.model, network.sources, strict=True)):
        # The original writes "the layer before" as -1.
        given = [source if source != index - 1 else -1 for source in sources]
        layer.i, layer.f, layer.type = index, given[0] if len(given) == 1 else given, type(layer).__name__
    model.names, model.stride = names, torch.tensor(network.head.strides, dtype=torch.float32)
    return model


def save_original(
    path: Path,
    network: Network | None = None,
    *,
    names: Any = ("alien", "bat"),
    half: bool = True,
    legacy: bool = False,
    **extra: Any,
) -> Path:
    """A file as `train.py` leaves it; `extra` takes the place of entries."""
    model = as_original(network or tiny_network(), names=names)
    checkpoint = {"epoch": -1, "best_fitness": None, "model": model.half() if half else model, "ema": None, **extra}
    with original_classes(checkpoint):
        torch.save(checkpoint, path, _use_new_zipfile_serialization=not legacy)
    return path


@contextmanager
def original_classes(content: Any) -> Iterator[None]:
    """Lets objects of classes be pickled whose modules do not exist."""
    modules: dict[str, types.ModuleType] = {}
    values = content.values() if isinstance(content, dict) else (content,)
    for layer in (layer for value in values if isinstance(value, nn.Module) for layer in value.modules()):
        kind = type(layer)
        if kind.__module__.startswith("models."):
            module = modules.setdefault(kind.__module__, types.ModuleType(kind.__module__))
            # One class for each name, whatever network it was made for.
            layer.__class__ = module.__dict__.setdefault(kind.__name__, kind)
    modules.setdefault("models", types.ModuleType("models"))
    sys.modules.update(modules)
    try:
        yield
    finally:
        for name in modules:
            del sys.modules[name]


def _instance(module: str, name: str) -> Any:
    kind = type(name, (nn.Module,), {"__module__": module, "__qualname__": name})
    return kind()


def _twin(layer: nn.Module) -> Any:
    """A copy of a layer of ours under its original name; torch's own stay."""
    if type(layer).__module__.startswith("torch."):
        if isinstance(layer, nn.Sequential | nn.ModuleList):
            return type(layer)(*_container([_twin(part) for part in layer], layer))
        return layer
    name = type(layer).__name__
    twin = _instance(MODULES.get(name, COMMON), name)
    for part_name, part in layer.named_children():
        setattr(twin, part_name, _twin(part))
    if isinstance(layer, Concat):
        twin.d = 1
    if isinstance(layer, Detect):
        stride = torch.tensor(layer.strides, dtype=torch.float32)
        twin.nc, twin.no, twin.nl, twin.na = (
            layer.class_count,
            layer.class_count + 5,
            len(stride),
            layer.anchors.shape[1],
        )
        twin.stride, twin.grid = stride, [torch.empty(0)] * len(stride)
        twin.register_buffer("anchors", layer.anchors / stride[:, None, None])
    if hasattr(layer, "add"):
        twin.add = layer.add
    return twin


def _container(parts: list[Any], layer: nn.Module) -> list[Any]:
    return parts if isinstance(layer, nn.Sequential) else [parts]
