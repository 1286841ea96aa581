"""Runs an ONNX model here, on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from sightline.errors import VerificationError

_ERRORS_ONLY = 3
_FAULTY_OPTIMISER = "Pad_Fusion"
"""It takes zeros in front of a maximum for nothing; see `sources.padding`."""


class Session:
    """An ONNX model in ONNX Runtime.

    Raises:
        VerificationError: ONNX Runtime does not take the model.
    """

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        # Threads that spin while they wait take the processor from everybody else on it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                model.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                disabled_optimizers=[_FAULTY_OPTIMISER],
            )
        except _runtime_errors() as error:
            raise VerificationError(f"ONNX Runtime does not load the graph: {error}") from error
        self._inputs = [value.name for value in self._session.get_inputs()]
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, values: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Outputs in order, for inputs in order."""
        return list(self.run_named(dict(zip(self._inputs, values, strict=True))).values())

    def run_named(self, values: Mapping[str, npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Outputs by name, for inputs by name.

        Raises:
            VerificationError: the graph fails.
        """
        try:
            outputs = self._session.run(None, dict(values))
        except _runtime_errors() as error:
            raise VerificationError(f"ONNX Runtime cannot run the graph: {error}") from error
        return {name: np.asarray(value) for name, value in zip(self._outputs, outputs, strict=True)}


def _runtime_errors() -> tuple[type[Exception], ...]:
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NotImplemented,
        state.RuntimeException,
    )
