"""A network as it comes from its source: picture in, undecoded predictions out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import onnx

from .heads import Head


@dataclass(frozen=True, kw_only=True)
class RawNetwork:
    """One ONNX graph with one input and one output, and what is known about it.

    Attributes:
        model: float32 [N, 3, S, S], RGB, 0 to 1, to the raw predictions that `head` understands.
        head: layout of the output.
        image_size: S, in pixels.
        class_names: one per class id.
        stride: largest stride, in pixels.
        source: the file it came from.
        versions: versions of the packages that made it, by name.
    """

    model: onnx.ModelProto
    head: Head
    image_size: int
    class_names: tuple[str, ...]
    stride: int
    source: Path
    versions: Mapping[str, str] = field(default_factory=dict)


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
