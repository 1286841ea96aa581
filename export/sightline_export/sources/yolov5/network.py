"""A network as YOLOv5 lays it out: a row of layers, each of which says where its input comes from."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from .layers import Concat, Conv, Detect


class Step(NamedTuple):
    """A layer with the indices of the layers whose outputs it takes; -1 is the picture."""

    layer: nn.Module
    sources: tuple[int, ...]


class Network(nn.Module):
    """A detector: float32 [n, 3, h, w], RGB, 0 to 1, to float32 [n, A, 5 + classes].

    Of `steps`, the last and only the last is a `Detect`; sides of the picture are multiples of its largest stride.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.model = nn.Sequential(*(step.layer for step in steps))
        self.sources = tuple(step.sources for step in steps)
        self._last_use = {source: user for user, sources in enumerate(self.sources) for source in sources}

    @property
    def head(self) -> Detect:
        """The last layer."""
        head = self.model[-1]
        assert isinstance(head, Detect)
        return head

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        outputs: dict[int, Tensor] = {-1: pictures}
        for index, (layer, sources) in enumerate(zip(self.model, self.sources, strict=True)):
            given = [outputs[source] for source in sources]
            outputs[index] = layer(given if isinstance(layer, Concat | Detect) else given[0])
            # Kept only as long as a later layer needs it: feature maps are large.
            for source in {*sources} - {source for source in sources if self._last_use[source] > index}:
                del outputs[source]
        return outputs[len(self.sources) - 1]


def fused(network: Network, *, any_size: bool = False) -> Network:
    """A copy with the batch normalisation behind each convolution put into the convolution's weights.

    Args:
        network: for evaluation.
        any_size: whether a trace of the copy is to take pictures of any size.
    """
    copy = deepcopy(network)
    copy.head.traced_any_size = any_size
    for layer in copy.modules():
        if isinstance(layer, Conv) and isinstance(layer.conv, nn.Conv2d) and isinstance(layer.bn, nn.BatchNorm2d):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
            layer.bn = nn.Identity()
    return copy
