"""TensorRT's Python package over this process's memory: a plan that doubles `x` into `y`, for 1 to 8 rows of 3."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

__version__ = "11.4.0"
MOST = 8


class TensorIOMode:
    INPUT = "input"
    OUTPUT = "output"


class ILogger:
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


def nptype(dtype: str) -> type:
    return {"float": np.float32}[dtype]


class Runtime:
    def __init__(self, logger: Any) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        self.logger.log(ILogger.INFO, "Loaded engine size: 3 MiB")
        if plan == b"for another version":
            self.logger.log(ILogger.ERROR, "The engine plan file is not compatible with\nthis version of TensorRT")
            return None
        return Engine(self.logger, crowded=plan == b"too large")


class Engine:
    num_io_tensors = 2
    num_optimization_profiles = 2

    def __init__(self, logger: Any, *, crowded: bool) -> None:
        self.logger = logger
        self.crowded = crowded

    def create_execution_context(self) -> Context | None:
        if self.crowded:
            self.logger.log(ILogger.ERROR, "out of memory")
            return None
        return Context(self.logger)

    def get_tensor_name(self, index: int) -> str:
        return ("x", "y")[index]

    def get_tensor_mode(self, name: str) -> str:
        return TensorIOMode.INPUT if name == "x" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> str:
        return "float"

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, int]]:
        # The first is for single rows.
        return [(1, 3), (1, 3), (1, 3)] if profile == 0 else [(2, 3), (4, 3), (MOST, 3)]


class Context:
    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.profile = 0
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, profile: int, stream: int) -> bool:
        self.profile = profile
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert (self.profile == 0) == (shape[0] == 1), "the profile belongs to the shape"
        self.shape = shape
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        size = int(np.prod(self.shape))
        kind = ctypes.c_float * size
        x, y = (np.ctypeslib.as_array(kind.from_address(self.addresses[name])) for name in "xy")
        if (x == 13).any():
            self.logger.log(ILogger.ERROR, "IExecutionContext::enqueueV3: 13 is refused")
            return False
        y[:] = x * 2
        return True
