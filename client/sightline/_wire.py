"""Requests as bytes and answers as arrays: Triton's protocol, and nothing about how they travel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2 as pb

from sightline.contract import ENCODED, SCORE_THRESHOLD, TensorSpec, detection_outputs
from sightline.detections import Detections
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InferenceError, InvalidOptionError

_LENGTH_DELIMITED = 2
_RAW_INPUT = bytes([pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER << 3 | _LENGTH_DELIMITED])
_MICROSECONDS = 1_000_000


def encode_request(
    *, model: str, request_id: str, payloads: Sequence[bytes], score_threshold: float, timeout_seconds: float
) -> bytes:
    """A serialised `ModelInferRequest` for some images.

    Protobuf's own message would copy the payloads twice more on their way; so it makes only the head, and the two
    `raw_input_contents` are appended as the wire format wants them, all in one join.

    Args:
        model: name of the served model.
        request_id: comes back with the answer.
        payloads: image files; zero bytes at their ends make them equally long, which changes no picture.
        score_threshold: lowest score of a detection, 0 to 1.
        timeout_seconds: how long the request may wait in the server's queues.
    """
    count, longest = len(payloads), max(map(len, payloads))
    head = pb.ModelInferRequest(model_name=model, id=request_id)
    head.parameters["timeout"].int64_param = int(timeout_seconds * _MICROSECONDS)
    head.inputs.add(name=ENCODED.name, datatype=ENCODED.datatype, shape=(count, longest))
    head.inputs.add(name=SCORE_THRESHOLD.name, datatype=SCORE_THRESHOLD.datatype, shape=(count, 1))
    parts = [head.SerializeToString(), _RAW_INPUT, _varint(count * longest)]
    for payload in payloads:
        parts.append(payload)
        if len(payload) < longest:
            parts.append(bytes(longest - len(payload)))
    thresholds = np.full(count, score_threshold, SCORE_THRESHOLD.dtype).tobytes()
    return b"".join((*parts, _RAW_INPUT, _varint(len(thresholds)), thresholds))


def decode_response(
    response: pb.ModelInferResponse, *, info: DetectorInfo, sizes_hw: Sequence[tuple[int, int]]
) -> list[Detections]:
    """What was found in each image of a request.

    Args:
        response: Triton's answer.
        info: the detector's own description.
        sizes_hw: height and width of each image in pixels, after EXIF rotation.

    Raises:
        ContractMismatchError: outputs are missing, or have other types or shapes than the contract's.
        InferenceError: the values make no sense.
    """
    raw = {
        output.name: (output, data)
        for output, data in zip(response.outputs, response.raw_output_contents, strict=False)
    }
    specs = detection_outputs(info.max_detections)
    found, boxes, scores, classes = (_array(spec, raw.get(spec.name), len(sizes_hw)) for spec in specs)
    counts: list[int] = found[:, 0].tolist()
    answers = []
    try:
        for row, (count, size_hw) in enumerate(zip(counts, sizes_hw, strict=True)):
            if not 0 <= count <= info.max_detections:
                raise InferenceError(f"the model answered {count} detections; 0 to {info.max_detections} is allowed")
            # Copies, so that a small result does not keep the whole answer alive.
            parts = boxes[row, :count].copy(), scores[row, :count].copy(), classes[row, :count].copy()
            answers.append(Detections(*parts, info.class_names, size_hw))
    except InvalidOptionError as error:
        raise InferenceError(f"the model's answer makes no sense: {error}") from error
    return answers


def _array(spec: TensorSpec, output: tuple[Any, bytes] | None, count: int) -> npt.NDArray[Any]:
    if output is None:
        raise ContractMismatchError(f"the model's answer has no output {spec.name!r}: export the model again")
    tensor, data = output
    shape = (count, *spec.dims)
    if tensor.datatype != spec.datatype or tuple(tensor.shape) != shape:
        raise ContractMismatchError(
            f"output {spec.name!r} is {tensor.datatype} {tuple(tensor.shape)}; "
            f"the contract wants {spec.datatype} {shape}: export the model again"
        )
    try:
        return np.frombuffer(data, spec.dtype).reshape(shape)
    except ValueError as error:
        raise InferenceError(f"output {spec.name!r} has {len(data)} bytes, not those of {shape}") from error


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer: 7 bits a byte, lowest first, the high bit where more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
