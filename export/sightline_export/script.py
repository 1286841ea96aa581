"""onnxscript, with types that Python's type checker and onnxscript both understand.

onnxscript reads the source of a function as a graph. Its own annotations (`FLOAT["N", 4]`) are no Python types, and
an operator's result is a union of everything that the operator allows; here tensors are plain `Any` to mypy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import onnxscript

if TYPE_CHECKING:
    Floats: TypeAlias = Any
    Integers: TypeAlias = Any
    Integers32: TypeAlias = Any
    Bytes: TypeAlias = Any
else:
    Floats = onnxscript.FLOAT[...]
    Integers = onnxscript.INT64[...]
    Integers32 = onnxscript.INT32[...]
    Bytes = onnxscript.UINT8[...]

op: Any = onnxscript.opset18
graph_function: Callable[[Callable[..., Any]], Any] = onnxscript.script(default_opset=onnxscript.opset18)
"""Decorator of functions that are read as graphs."""

FLOAT: int = onnxscript.FLOAT.dtype
INT32: int = onnxscript.INT32.dtype
INT64: int = onnxscript.INT64.dtype
