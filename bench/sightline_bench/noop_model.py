"""The no-op detector's `model.py`. Its text is copied into the repository, where Triton runs it: numpy only."""

from __future__ import annotations

import json
import time
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt

NATIVE_FAILURE = (
    "Critical error in pipeline:\n"
    "Error in CPU operator `nvidia.dali.fn.decoders.image`,\nencountered:\n\n"
    "[/opt/dali/dali/operators/imgcodec/decoder.h:100] Failed to decode sample.\n"
    "Current pipeline object is no longer valid."
)


def fingerprint(payload: bytes) -> int:
    """A number from 0 to 999,999 that tells payloads apart; zero bytes at the end, which pad requests, do not count."""
    return zlib.crc32(payload.rstrip(b"\0")) % 1_000_000


class TritonPythonModel:
    """What Triton's Python backend calls."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the parameters of `config.pbtxt`."""
        import triton_python_backend_utils as pb_utils

        self._utils = pb_utils
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self._echo = bool(parameters["echo"])
        self._delay_seconds = float(parameters["delay_seconds"])
        self._poison = parameters["poison"].encode()
        self._blame = parameters["blame"].encode()
        self._blame_text = parameters["blame_text"]
        self._slots = int(parameters["sightline.max_detections"])

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer every request, or fail them all where one holds the poison."""
        if self._delay_seconds:
            time.sleep(self._delay_seconds)
        payloads = [self._payloads(request) for request in requests]
        if self._poison and any(self._poison in payload for batch in payloads for payload in batch):
            # An error that several responses share loses its text on the way.
            errors = [self._utils.TritonError(NATIVE_FAILURE) for _ in requests]
            return [self._utils.InferenceResponse(error=error) for error in errors]
        return [self._answer_or_blame(batch) for batch in payloads]

    def _payloads(self, request: Any) -> list[bytes]:
        encoded = self._utils.get_input_tensor_by_name(request, "encoded").as_numpy()
        if self._echo or self._poison or self._blame:
            return [row.tobytes() for row in encoded]
        return [b""] * len(encoded)

    def _answer_or_blame(self, payloads: list[bytes]) -> Any:
        if self._blame and any(self._blame in payload for payload in payloads):
            return self._utils.InferenceResponse(error=self._utils.TritonError(self._blame_text))
        return self._answer(payloads)

    def _answer(self, payloads: list[bytes]) -> Any:
        count = len(payloads)
        found: npt.NDArray[np.int32] = np.zeros((count, 1), np.int32)
        boxes: npt.NDArray[np.float32] = np.zeros((count, self._slots, 4), np.float32)
        scores: npt.NDArray[np.float32] = np.zeros((count, self._slots), np.float32)
        classes: npt.NDArray[np.int32] = np.full((count, self._slots), -1, np.int32)
        if self._echo:
            found[:], scores[:, 0], classes[:, 0] = 1, 1.0, 0
            for row, payload in enumerate(payloads):
                left = fingerprint(payload)
                boxes[row, 0] = left, left, left + 1, left + 1
        names = ("num_detections", "boxes", "scores", "classes")
        values = (found, boxes, scores, classes)
        tensors = [self._utils.Tensor(name, value) for name, value in zip(names, values, strict=True)]
        return self._utils.InferenceResponse(output_tensors=tensors)
