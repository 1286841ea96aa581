"""Requests as bytes and answers as arrays: Triton's protocol, and nothing about how they travel."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from tritonclient.grpc import service_pb2 as pb

from sightline._model import Served, ServedGroup
from sightline.contract import ENCODED, SCORE_THRESHOLD, detection_outputs
from sightline.detections import Detections, Found, GroupDetections
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InferenceError, InvalidOptionError
from sightline.groups import member_tensor

_LENGTH_DELIMITED = 2
_MICROSECONDS = 1_000_000
_KNOWN_BEGINNINGS = 256
_TENSOR = pb.ModelInferRequest.InferInputTensor
_COUNT, _BOXES, _SCORES, _CLASSES = (spec.dtype for spec in detection_outputs(1))
_SHORT = 0x80
"""Numbers below it are one byte in protobuf's encoding."""


def _tag(field_number: int) -> bytes:
    return bytes([field_number << 3 | _LENGTH_DELIMITED])


_ID = _tag(pb.ModelInferRequest.ID_FIELD_NUMBER)
_INPUT = _tag(pb.ModelInferRequest.INPUTS_FIELD_NUMBER)
_RAW_INPUT = _tag(pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER)
_SHAPE = _tag(_TENSOR.SHAPE_FIELD_NUMBER)
_ENCODED = _TENSOR(name=ENCODED.name, datatype=ENCODED.datatype).SerializeToString()


def encode_request(
    *, model: str, request_id: str, payloads: Sequence[bytes], score_threshold: float, timeout_seconds: float
) -> bytes:
    """A serialised `ModelInferRequest` for some images.

    Protobuf's own message would copy the payloads twice more on their way, and making one for each request takes longer
    than all else here. So it makes only what requests have in common, once; the rest is appended as the wire format
    wants it, all in one join.

    Args:
        model: name of the served model.
        request_id: comes back with the answer.
        payloads: image files; zero bytes at their ends make them equally long, which changes no picture.
        score_threshold: lowest score of a detection, 0 to 1.
        timeout_seconds: how long the caller waits. It goes along as Triton's `timeout`, which a server only heeds
            where a model's queue policy allows overriding it; those that Sightline writes do not.
    """
    count, longest = len(payloads), max(map(len, payloads))
    shape = _varint(count) + _varint(longest)
    encoded = _ENCODED + _field(_SHAPE, shape)
    beginning = _beginning(model, int(timeout_seconds * _MICROSECONDS))
    parts = [beginning, _field(_ID, request_id.encode()), _field(_INPUT, encoded), _RAW_INPUT, _varint(count * longest)]
    for payload in payloads:
        parts.append(payload)
        if len(payload) < longest:
            parts.append(bytes(longest - len(payload)))
    # Tensors' contents come in the order of the tensors.
    parts.append(_thresholds(count, score_threshold))
    return b"".join(parts)


@lru_cache(maxsize=_KNOWN_BEGINNINGS)
def _beginning(model: str, timeout_microseconds: int) -> bytes:
    """What requests to a model have in common."""
    head = pb.ModelInferRequest(model_name=model)
    head.parameters["timeout"].int64_param = timeout_microseconds
    serialised: bytes = head.SerializeToString()
    return serialised


@lru_cache(maxsize=_KNOWN_BEGINNINGS)
def _thresholds(count: int, score_threshold: float) -> bytes:
    """The last tensor of a request and its contents."""
    tensor = _TENSOR(name=SCORE_THRESHOLD.name, datatype=SCORE_THRESHOLD.datatype, shape=(count, 1))
    contents = np.full(count, score_threshold, SCORE_THRESHOLD.dtype).tobytes()
    return _field(_INPUT, tensor.SerializeToString()) + _field(_RAW_INPUT, contents)


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


class Decoder:
    """Reads one detector's answers; what is the same for each is prepared once.

    Args:
        info: the detector's own description.
        member: its name where it answers as a member of a group, whose outputs have it before theirs.
    """

    def __init__(self, info: DetectorInfo, *, member: str = "") -> None:
        self._info = info
        specs = detection_outputs(info.max_detections)
        if member:
            specs = tuple(member_tensor(member, spec) for spec in specs)
        self._specs = specs
        self._bytes_an_image = [math.prod(spec.dims) * spec.dtype.itemsize for spec in specs]
        self._known: dict[int, tuple[list[bytes], Sequence[int]]] = {}

    def decode(self, response: pb.ModelInferResponse, *, sizes_hw: Sequence[tuple[int, int]]) -> list[Detections]:
        """What was found in each image of a request.

        Args:
            response: Triton's answer.
            sizes_hw: height and width of each image in pixels, after EXIF rotation.

        Raises:
            ContractMismatchError: outputs are missing, or have other types or shapes than the contract's.
            InferenceError: the values make no sense.
        """
        found, boxes, scores, classes = self._contents(response, len(sizes_hw))
        slots, names = self._info.max_detections, self._info.class_names
        answers = []
        try:
            for row, (count, size_hw) in enumerate(zip(np.frombuffer(found, _COUNT).tolist(), sizes_hw, strict=True)):
                if not 0 <= count <= slots:
                    raise InferenceError(f"the model answered {count} detections; 0 to {slots} is allowed")
                begin = row * slots
                parts = (
                    _copied(boxes, _BOXES, (count, 4), 4 * begin),
                    _copied(scores, _SCORES, (count,), begin),
                    _copied(classes, _CLASSES, (count,), begin),
                )
                answers.append(Detections(*parts, names, size_hw))
        except InvalidOptionError as error:
            raise InferenceError(f"the model's answer makes no sense: {error}") from error
        return answers

    def _contents(self, response: pb.ModelInferResponse, count: int) -> list[bytes]:
        """Of each output, in the contract's order."""
        raw = list(response.raw_output_contents)
        places = self._places(response, raw, count)
        for place, size_bytes, spec in zip(places, self._bytes_an_image, self._specs, strict=True):
            if len(raw[place]) != count * size_bytes:
                shape = [count, *spec.dims]
                raise InferenceError(f"output {spec.name!r} has {len(raw[place])} bytes, not those of {shape}")
        return [raw[place] for place in places]

    def _places(self, response: pb.ModelInferResponse, raw: Sequence[bytes], count: int) -> Sequence[int]:
        """Where each output stands; answers for as many images describe theirs alike, and are looked at once."""
        described = [output.SerializeToString() for output, _ in zip(response.outputs, raw, strict=False)]
        known = self._known.get(count)
        if known is None or known[0] != described:
            known = self._known[count] = described, self._find_places(response, len(described), count)
        return known[1]

    def _find_places(self, response: pb.ModelInferResponse, filled: int, count: int) -> Sequence[int]:
        tensors = {output.name: (place, output) for place, output in enumerate(response.outputs) if place < filled}
        places = []
        for spec in self._specs:
            if spec.name not in tensors:
                raise ContractMismatchError(f"the model's answer has no output {spec.name!r}: export the model again")
            place, tensor = tensors[spec.name]
            shape = [count, *spec.dims]
            if tensor.datatype != spec.datatype or tensor.shape != shape:
                raise ContractMismatchError(
                    f"output {spec.name!r} is {tensor.datatype} {list(tensor.shape)}; "
                    f"the contract wants {spec.datatype} {shape}: export the model again"
                )
            places.append(place)
        return places


def _copied(raw: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], begin: int) -> npt.NDArray[Any]:
    """A part of an output, from its element `begin` on; a copy, so that it does not keep the whole answer alive."""
    return np.array(np.ndarray(shape, dtype, raw, begin * dtype.itemsize))


class GroupDecoder:
    """Reads a group's answers.

    Args:
        members: the members' own descriptions, by name.
    """

    def __init__(self, members: Mapping[str, DetectorInfo]) -> None:
        self._decoders = {name: Decoder(info, member=name) for name, info in members.items()}

    def decode(self, response: pb.ModelInferResponse, *, sizes_hw: Sequence[tuple[int, int]]) -> list[GroupDetections]:
        """What each member found in each image of a request; see `Decoder.decode`."""
        found = {name: decoder.decode(response, sizes_hw=sizes_hw) for name, decoder in self._decoders.items()}
        return [
            GroupDetections({name: of_images[row] for name, of_images in found.items()}) for row in range(len(sizes_hw))
        ]


class RenewingDecoder:
    """A decoder that is made anew when the server has loaded another export of the detector, or of a member.

    Args:
        served: the detector or group.
        renew: asks for the description that has taken the place of the given one.
    """

    def __init__(self, served: Served, renew: Callable[[Served], Served]) -> None:
        self._renew = renew
        self._current = served, _decoder_of(served)

    def decode(self, response: pb.ModelInferResponse, *, sizes_hw: Sequence[tuple[int, int]]) -> Sequence[Found]:
        """As `Decoder.decode`; an answer that does not fit has the server asked once."""
        served, decoder = self._current
        try:
            return decoder.decode(response, sizes_hw=sizes_hw)
        except ContractMismatchError:
            served = self._renew(served)
            decoder = _decoder_of(served)
            self._current = served, decoder
            return decoder.decode(response, sizes_hw=sizes_hw)


def _decoder_of(served: Served) -> Decoder | GroupDecoder:
    return GroupDecoder(served.members) if isinstance(served, ServedGroup) else Decoder(served.info)


def _varint(number: int) -> bytes:
    """Protobuf's variable-length integer: 7 bits a byte, lowest first, the high bit where more follow."""
    if number < _SHORT:
        return bytes((number,))
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
