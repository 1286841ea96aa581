"""An ONNX file, read without its external data and without running it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from sightline_export.lint.signature import Signature

LARGEST_FILE_BYTES = 2_000_000_000
"""Protobuf reads no message of 2 GiB or more; beyond this, weights belong into external data."""

_TRITON_NAME = {"FLOAT": "FP32", "DOUBLE": "FP64", "FLOAT16": "FP16", "BFLOAT16": "BF16"}


def can_read() -> bool:
    """Whether the `onnx` package is installed."""
    return importlib.util.find_spec("onnx") is not None


class OnnxGraph:
    """What `config.pbtxt` and the backends must agree with."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def too_large(self) -> bool:
        """Whether the file is larger than protobuf reads."""
        return self.path.stat().st_size > LARGEST_FILE_BYTES

    @property
    def _can_load(self) -> bool:
        return can_read() and 0 < self.path.stat().st_size <= LARGEST_FILE_BYTES

    @cached_property
    def _loaded(self) -> Any:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            return onnx.load(self.path, load_external_data=False)
        except (OSError, DecodeError) as error:
            return error

    @property
    def proto(self) -> Any:
        """The `ModelProto`; None where the file is empty, too large or no protobuf, or the package is missing."""
        return self._loaded if self._can_load and not isinstance(self._loaded, Exception) else None

    @property
    def failure(self) -> str | None:
        """Why a file of a sensible size could not be read, or None."""
        return str(self._loaded) if self._can_load and isinstance(self._loaded, Exception) else None

    @property
    def opset(self) -> int:
        """Version of the default operator set; 0 if the file states none."""
        return max((entry.version for entry in self.proto.opset_import if entry.domain in ("", "ai.onnx")), default=0)

    @property
    def inputs(self) -> dict[str, Signature]:
        """With the batch axis; dynamic lengths are -1. Initializers that are listed as inputs are left out."""
        weights = {tensor.name for tensor in self.proto.graph.initializer}
        return {value.name: _signature(value) for value in self.proto.graph.input if value.name not in weights}

    @property
    def outputs(self) -> dict[str, Signature]:
        """With the batch axis; dynamic lengths are -1."""
        return {value.name: _signature(value) for value in self.proto.graph.output}

    @cached_property
    def external_files(self) -> set[str]:
        """Names of the files beside it that hold weights."""
        weights = self.proto.graph.initializer
        entries = (entry for tensor in weights for entry in tensor.external_data)
        return {entry.value for entry in entries if entry.key == "location"}

    def readers(self, tensor: str) -> Iterator[Any]:
        """The nodes that take a tensor in."""
        return (node for node in self.proto.graph.node if tensor in node.input)


def _signature(value: Any) -> Signature:
    import onnx

    tensor = value.type.tensor_type
    name = onnx.TensorProto.DataType.Name(tensor.elem_type)
    dims = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
    return Signature(_TRITON_NAME.get(name, name), dims)
