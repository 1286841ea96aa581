"""Layers of ours from the records of a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from . import layers
from .fields import Fields
from .layers import Composite, Detect
from .records import short

_COMPOSITES: Mapping[str, type[Composite]] = {
    "models.common.Conv": layers.Conv,
    "models.common.DWConv": layers.Conv,
    "models.common.Bottleneck": layers.Bottleneck,
    "models.common.CrossConv": layers.Bottleneck,
    "models.common.BottleneckCSP": layers.BottleneckCSP,
    "models.common.C3": layers.C3,
    "models.common.C3x": layers.C3,
    "models.common.C3SPP": layers.C3,
    "models.common.C3Ghost": layers.C3,
    "models.common.SPP": layers.SPP,
    "models.common.SPPF": layers.SPPF,
    "models.common.Focus": layers.Focus,
    "models.common.GhostConv": layers.GhostConv,
    "models.common.GhostBottleneck": layers.GhostBottleneck,
    "models.experimental.CrossConv": layers.Bottleneck,
    "models.experimental.GhostConv": layers.GhostConv,
    "models.experimental.GhostBottleneck": layers.GhostBottleneck,
}
_NN = "torch.nn.modules."
_BIASED_VALUES = 5


class Rebuilder:
    """Makes layers; each record that holds weights becomes one layer once."""

    def __init__(self) -> None:
        self._done: set[int] = set()

    def layer(self, fields: Fields) -> nn.Module:
        """The layer that a record describes.

        Raises:
            CheckpointError: it is no layer, an attribute is not allowed, or it stands in two places.
        """
        name = fields.record.qualified_name
        if name in _SIMPLE:
            return _SIMPLE[name](fields)
        # A file can say that a layer holds itself, or name one so often that memory does not suffice.
        if id(fields.record) in self._done:
            raise fields.error("it stands in two places")
        self._done.add(id(fields.record))
        if name in _COMPOSITES:
            return self._composite(fields, _COMPOSITES[name])
        if name in _WEIGHTED:
            return _WEIGHTED[name](fields)
        if name in _CONTAINERS:
            return _CONTAINERS[name](self._parts(fields).values())
        raise fields.error("it is no layer")

    def detect(self, fields: Fields, *, scales: int) -> Detect:
        """The head of a network, with `scales` inputs.

        Raises:
            CheckpointError: it is none, or its numbers contradict each other.
        """
        if fields.record.qualified_name != DETECT:
            raise fields.error("the last layer of a detector is its Detect")
        class_count = fields.whole("nc", low=1)
        cells, stride = fields.buffer("anchors"), fields.tensor("stride")
        if cells.dim() != 3 or cells.shape[0] != scales or cells.shape[2] != 2 or tuple(stride.shape) != (scales,):
            shapes = f"anchors {list(cells.shape)} and strides {list(stride.shape)}"
            raise fields.error(f"it has {shapes} at {scales} scales")
        if any(each not in _STRIDES for each in stride.tolist()):
            raise fields.error(f"its strides are {stride.tolist()}")
        # Before its release 2, the convolutions stand before the head, not in it.
        parts = fields.parts()
        convolutions = self.layer(parts["m"]) if "m" in parts else nn.ModuleList()
        wanted = cells.shape[1] * (class_count + _BIASED_VALUES)
        if not isinstance(convolutions, nn.ModuleList) or any(
            not isinstance(each, nn.Conv2d) or each.out_channels != wanted for each in convolutions
        ):
            raise fields.error(f"its convolutions do not give {wanted} channels")
        anchors = cells * stride[:, None, None]
        strides = tuple(int(each) for each in stride)
        return Detect(convolutions, anchors=anchors, strides=strides, class_count=class_count)

    def _composite(self, fields: Fields, kind: type[Composite]) -> Composite:
        parts = self._parts(fields)
        if {*parts} != {*kind.parts}:
            raise fields.error(f"it has the parts {', '.join(parts)}, where {', '.join(kind.parts)} are known")
        return kind(**parts, **{flag: fields.flag(flag) for flag in kind.flags})

    def _parts(self, fields: Fields) -> dict[str, nn.Module]:
        return {name: self.layer(part) for name, part in fields.parts().items()}


def _convolution(fields: Fields) -> nn.Module:
    weight, bias = fields.weight("weight"), fields.optional_weight("bias")
    groups = fields.whole("groups", low=1)
    if weight.dim() != 4 or weight.shape[0] % groups or fields.value("padding_mode", "zeros") != "zeros":
        raise fields.error(f"its weights are {list(weight.shape)} in {groups} groups")
    outside, inside, *kernel = weight.shape
    if bias is not None and tuple(bias.shape) != (outside,):
        raise fields.error(f"its biases are {list(bias.shape)} for {outside} channels")
    convolution = nn.Conv2d(
        inside * groups,
        outside,
        (kernel[0], kernel[1]),
        fields.pair("stride", low=1),
        fields.pair("padding", low=0),
        fields.pair("dilation", low=1),
        groups,
        bias=bias is not None,
        device="meta",
    )
    convolution.weight = nn.Parameter(weight, requires_grad=False)
    convolution.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)
    return convolution


def _norm(fields: Fields) -> nn.Module:
    weight, bias = fields.weight("weight"), fields.weight("bias")
    mean, variance = fields.buffer("running_mean"), fields.buffer("running_var")
    shapes = {tuple(each.shape) for each in (weight, bias, mean, variance)}
    if len(shapes) != 1 or weight.dim() != 1:
        raise fields.error(f"its tensors have the shapes {sorted(shapes)}")
    norm = nn.BatchNorm2d(weight.shape[0], eps=fields.number("eps"), device="meta")
    norm.weight, norm.bias = (nn.Parameter(each, requires_grad=False) for each in (weight, bias))
    norm.running_mean, norm.running_var, norm.num_batches_tracked = mean, variance, torch.tensor(0)
    return norm


def _pool(fields: Fields) -> nn.Module:
    if fields.value("ceil_mode", False) is not False or fields.value("return_indices", False) is not False:
        raise fields.error("it rounds up, or gives indices")
    return nn.MaxPool2d(
        fields.pair("kernel_size", low=1),
        fields.pair("stride", low=1),
        fields.pair("padding", low=0),
        fields.pair("dilation", low=1),
    )


def _upsample(fields: Fields) -> nn.Module:
    factor, mode = fields.value("scale_factor"), fields.value("mode")
    if fields.value("size") is not None or factor not in (2, (2, 2)) or mode != "nearest":
        raise fields.error(f"it enlarges {short(factor)} times by {short(mode)}, where twice by 'nearest' is known")
    return nn.Upsample(scale_factor=2.0, mode="nearest")


def _concatenation(fields: Fields) -> nn.Module:
    if (axis := fields.value("d")) != 1:
        raise fields.error(f"it joins along axis {short(axis)}, not along the channels")
    return layers.Concat()


DETECT = "models.yolo.Detect"
_STRIDES = (4, 8, 16, 32, 64, 128)
_SIMPLE: Mapping[str, Callable[[Fields], nn.Module]] = {
    f"{_NN}activation.SiLU": lambda _: nn.SiLU(),
    f"{_NN}activation.Hardswish": lambda _: nn.Hardswish(),
    f"{_NN}activation.ReLU": lambda _: nn.ReLU(),
    f"{_NN}activation.ReLU6": lambda _: nn.ReLU6(),
    f"{_NN}activation.Mish": lambda _: nn.Mish(),
    f"{_NN}activation.LeakyReLU": lambda fields: nn.LeakyReLU(fields.number("negative_slope")),
    f"{_NN}linear.Identity": lambda _: nn.Identity(),
    f"{_NN}pooling.MaxPool2d": _pool,
    f"{_NN}padding.ZeroPad2d": lambda fields: nn.ZeroPad2d(fields.steps("padding", low=0, count=4)),  # type: ignore[arg-type]
    f"{_NN}upsampling.Upsample": _upsample,
    "models.common.Concat": _concatenation,
}
"""Layers without weights, which may stand in several places."""
_WEIGHTED: Mapping[str, Callable[[Fields], nn.Module]] = {
    f"{_NN}conv.Conv2d": _convolution,
    f"{_NN}batchnorm.BatchNorm2d": _norm,
    f"{_NN}batchnorm.SyncBatchNorm": _norm,
}
_CONTAINERS: Mapping[str, Callable[..., nn.Module]] = {
    f"{_NN}container.Sequential": lambda parts: nn.Sequential(*parts),
    f"{_NN}container.ModuleList": nn.ModuleList,
}
LAYER_CLASSES = frozenset((*_SIMPLE, *_WEIGHTED, *_CONTAINERS, *_COMPOSITES, DETECT))
"""Qualified names of everything that a network is built of."""
