"""Type and shape of a tensor, in Triton's words."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Signature:
    """Element type (without `TYPE_`) and dims of a tensor, without the batch axis; -1 fits every length."""

    datatype: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.datatype} [{', '.join(map(str, self.dims))}]"

    def fits(self, other: Signature) -> bool:
        """Whether Triton lets one flow into the other."""
        same_rank = self.datatype == other.datatype and len(self.dims) == len(other.dims)
        return same_rank and all(a == b or -1 in (a, b) for a, b in zip(self.dims, other.dims, strict=True))
