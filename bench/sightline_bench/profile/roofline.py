"""What a machine can do at most, and what it could do for work that moves so many bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Bound = Literal["memory", "compute"]


@dataclass(frozen=True)
class Roof:
    """The most that was measured.

    Attributes:
        flops_per_second: of large matrix products, by precision; `fp32` always stands there.
        bytes_per_second: read and written together by a copy in memory.
    """

    flops_per_second: Mapping[str, float]
    bytes_per_second: float

    def peak(self, precision: str) -> float:
        """Operations a second in a precision; those of fp32 where none was measured."""
        return self.flops_per_second.get(precision, self.flops_per_second["fp32"])

    def ridge(self, precision: str) -> float:
        """Operations per byte from which on arithmetic, not memory, sets the limit."""
        return self.peak(precision) / self.bytes_per_second

    def attainable(self, intensity: float, precision: str) -> float:
        """Operations a second that work with so many operations per byte can reach."""
        return min(self.peak(precision), intensity * self.bytes_per_second)

    def bound(self, intensity: float, precision: str) -> Bound:
        """Which of the two sets the limit."""
        return "memory" if intensity < self.ridge(precision) else "compute"
