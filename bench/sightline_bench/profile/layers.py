"""One layer as an engine ran it, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sightline_bench.profile.roofline import Roof
from sightline_export.cost import NodeCost
from sightline_export.graph.compose import BACK, FRONT, NETWORK

_PARTS = {FRONT: "front", NETWORK: "network", BACK: "head"}
_LEAST_SHARE = 0.002
"""Of the whole time: layers that take less are not worth a rank."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What ran as one step.

    Attributes:
        name: the engine's.
        kind: the engine's word for what it does, such as `Convolution`.
        implementation: the code that did it, as far as the engine tells.
        part: `front`, `network` or `head`; empty where its name does not tell.
        milliseconds: mean of the measured runs.
        flops: floating-point operations in it, as ONNX's operators count them.
        bytes_moved: what it reads and writes, weights too, were nothing cached; None where the engine does not tell.
        precision: of its arithmetic, as far as the engine tells.
    """

    name: str
    kind: str
    implementation: str = ""
    part: str = ""
    milliseconds: float
    flops: int = 0
    bytes_moved: int | None = None
    precision: str = "fp32"

    @property
    def flops_per_second(self) -> float:
        """What it achieves; 0 where it took no time that could be measured."""
        return self.flops / (self.milliseconds / 1000) if self.milliseconds else 0.0

    @property
    def intensity(self) -> float | None:
        """Operations per byte."""
        return self.flops / self.bytes_moved if self.bytes_moved else None


@dataclass(frozen=True, kw_only=True)
class LayerTable:
    """The layers of one network in the order in which they ran.

    Attributes:
        source: which engine told, with what.
        precision: of most of its arithmetic.
        layers: all that took time.
        wall_milliseconds: of the same runs, by the clock; None where it is not known.
        network_flops: of the whole graph, for the same batch.
        note: what else to know.
    """

    source: str
    precision: str
    layers: tuple[Layer, ...]
    wall_milliseconds: float | None
    network_flops: int
    note: str = ""

    @property
    def milliseconds(self) -> float:
        """All layers together."""
        return sum(layer.milliseconds for layer in self.layers)

    @property
    def assigned(self) -> float:
        """Share of the graph's operations that were found in these layers, 0 to 1."""
        return sum(layer.flops for layer in self.layers) / self.network_flops if self.network_flops else 1.0

    @property
    def bytes_moved(self) -> int | None:
        """Of all layers; None where one of those that compute does not tell."""
        if any(layer.bytes_moved is None for layer in self.layers if layer.flops):
            return None
        return sum(layer.bytes_moved or 0 for layer in self.layers)

    @property
    def intensity(self) -> float | None:
        """Operations per byte, of all layers together."""
        moved = self.bytes_moved
        return sum(layer.flops for layer in self.layers) / moved if moved else None

    def attainable_milliseconds(self, roof: Roof) -> float | None:
        """What all layers would take if each reached what its arithmetic and its bytes allow; None where a layer that
        computes does not tell its bytes.
        """
        if self.bytes_moved is None:
            return None
        limits = [
            max(layer.flops / roof.peak(layer.precision), (layer.bytes_moved or 0) / roof.bytes_per_second)
            for layer in self.layers
        ]
        return 1000 * sum(limits)

    def share(self, layer: Layer) -> float:
        """Of the time, 0 to 1."""
        return layer.milliseconds / self.milliseconds if self.milliseconds else 0.0

    def slowest(self, count: int) -> list[Layer]:
        """Those that take longest."""
        return sorted(self.layers, key=lambda layer: -layer.milliseconds)[:count]

    def most_efficient(self, count: int) -> list[Layer]:
        """Of those that compute and matter, those with most operations a second."""
        return sorted(self._ranked(), key=lambda layer: -layer.flops_per_second)[:count]

    def least_efficient(self, count: int) -> list[Layer]:
        """Of those that compute and matter, those with fewest operations a second."""
        return sorted(self._ranked(), key=lambda layer: layer.flops_per_second)[:count]

    def by_part(self) -> dict[str, float]:
        """Milliseconds of front, network, head and the rest."""
        return self._sums([layer.part or "rest" for layer in self.layers])

    def by_kind(self) -> dict[str, float]:
        """Milliseconds of each kind, most first."""
        sums = self._sums([layer.kind for layer in self.layers])
        return dict(sorted(sums.items(), key=lambda item: -item[1]))

    def _ranked(self) -> list[Layer]:
        return [layer for layer in self.layers if layer.flops and self.share(layer) >= _LEAST_SHARE]

    def _sums(self, keys: Sequence[str]) -> dict[str, float]:
        sums: dict[str, float] = {}
        for key, layer in zip(keys, self.layers, strict=True):
            sums[key] = sums.get(key, 0.0) + layer.milliseconds
        return sums


def part_named(name: str) -> str:
    """Which part of a served graph something of that name belongs to; empty where the name does not tell."""
    return next((part for prefix, part in _PARTS.items() if name.startswith(prefix)), "")


def flops_by_name(nodes: Sequence[NodeCost]) -> dict[str, int]:
    """Operations by the name of an operator and by that of what it gives: engines use either.

    What runs once a picture, in the loop over a batch, is summed up.
    """
    sums: dict[str, int] = {}
    for node in nodes:
        for name in {node.name, node.output} - {""}:
            sums[name] = sums.get(name, 0) + node.flops
    return sums
