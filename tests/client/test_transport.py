from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.client.noop_images import expected, numbered
from tritonclient.grpc import service_pb2 as pb

from sightline import _wire
from sightline._channel import Channel
from sightline._options import TRANSPORT_KINDS, TransportKind
from sightline._transport import Transport, open_transport
from sightline.detector_info import DetectorInfo
from sightline.errors import (
    ContractMismatchError,
    DeadlineExceededError,
    InferenceError,
    InvalidOptionError,
    ModelNotFoundError,
    ServerUnavailableError,
)
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

INFO = DetectorInfo(class_names=("a", "b"), max_detections=3)


@pytest.fixture(scope="module", autouse=True)
def models(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "echo", options=NoopOptions(echo=True))
    write_noop_detector(repository, "slow", options=NoopOptions(delay_seconds=1.0))
    load_model("echo")
    load_model("slow")


@pytest.fixture
def channel(server: EmbeddedServer) -> Iterator[Channel]:
    opened = Channel(server.grpc_url)
    yield opened
    opened.close()


@pytest.fixture(params=TRANSPORT_KINDS)
def transport(request: pytest.FixtureRequest, channel: Channel) -> Iterator[Transport]:
    kind: TransportKind = request.param
    opened = open_transport(kind, channel)
    yield opened
    opened.close()


def request_bytes(payloads: list[bytes], *, model: str = "echo", request_id: str = "7") -> bytes:
    return _wire.encode_request(
        model=model, request_id=request_id, payloads=payloads, score_threshold=0.25, timeout_seconds=5
    )


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=9), st.floats(0, 1, width=32))
def test_requests_are_what_protobuf_reads(payloads: list[bytes], threshold: float) -> None:
    data = _wire.encode_request(
        model="m", request_id="9", payloads=payloads, score_threshold=threshold, timeout_seconds=1.5
    )
    request = pb.ModelInferRequest.FromString(data)
    longest = max(map(len, payloads))
    assert (request.model_name, request.id) == ("m", "9")
    assert request.parameters["timeout"].int64_param == 1_500_000
    shapes = {tensor.name: (tensor.datatype, list(tensor.shape)) for tensor in request.inputs}
    assert shapes == {
        "encoded": ("UINT8", [len(payloads), longest]),
        "score_threshold": ("FP32", [len(payloads), 1]),
    }
    encoded, thresholds = request.raw_input_contents
    assert encoded == b"".join(payload.ljust(longest, b"\0") for payload in payloads)
    assert np.frombuffer(thresholds, np.float32).tolist() == [np.float32(threshold)] * len(payloads)


def response(*, counts: list[int], boxes: Any = 0, scores: Any = 0, classes: Any = 0) -> pb.ModelInferResponse:
    n = len(counts)
    arrays = {
        "num_detections": np.array(counts, np.int32)[:, None],
        "boxes": np.broadcast_to(np.float32(boxes), (n, 3, 4)),
        "scores": np.broadcast_to(np.float32(scores), (n, 3)),
        "classes": np.broadcast_to(np.int32(classes), (n, 3)),
    }
    made = pb.ModelInferResponse()
    for name, array in arrays.items():
        datatype = "FP32" if array.dtype == np.float32 else "INT32"
        made.outputs.add(name=name, datatype=datatype, shape=array.shape)
        made.raw_output_contents.append(array.tobytes())
    return made


def test_answers_hold_only_what_was_found() -> None:
    boxes = np.arange(24).reshape(2, 3, 4)
    answer = response(counts=[0, 2], boxes=boxes, scores=[0.9, 0.5, 0.25], classes=[1, 0, -1])
    nothing, two = _wire.Decoder(INFO).decode(answer, sizes_hw=[(10, 20), (30, 40)])
    assert (len(nothing), nothing.image_size_hw, nothing.boxes_xyxy.shape) == (0, (10, 20), (0, 4))
    assert two.boxes_xyxy.tolist() == boxes[1, :2].tolist()
    assert (two.scores.tolist(), two.class_ids.tolist()) == ([np.float32(0.9), 0.5], [1, 0])
    assert (two.class_names, two.image_size_hw) == (("a", "b"), (30, 40))
    assert two.boxes_xyxy.base is None, "a view would keep the whole answer alive"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"counts": [4]}, "answered 4 detections; 0 to 3"),
        ({"counts": [-1]}, "answered -1 detections"),
        ({"counts": [1], "boxes": np.nan}, "makes no sense: boxes_xyxy holds NaN"),
        ({"counts": [1], "scores": 1.5}, "makes no sense: scores"),
        ({"counts": [1], "classes": 2}, "makes no sense: class ids"),
    ],
)
def test_answers_without_sense(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InferenceError, match=message):
        _wire.Decoder(INFO).decode(response(**fields), sizes_hw=[(10, 20)])


def test_answers_of_another_contract() -> None:
    with pytest.raises(ContractMismatchError, match=r"'num_detections' is INT32 \[1, 1\].*\[2, 1\]"):
        _wire.Decoder(INFO).decode(response(counts=[0]), sizes_hw=[(1, 1), (1, 1)])
    answer = response(counts=[0])
    answer.outputs[1].datatype = "FP64"
    with pytest.raises(ContractMismatchError, match="'boxes' is FP64"):
        _wire.Decoder(INFO).decode(answer, sizes_hw=[(1, 1)])
    del answer.outputs[:]
    with pytest.raises(ContractMismatchError, match="no output 'num_detections'"):
        _wire.Decoder(INFO).decode(answer, sizes_hw=[(1, 1)])


def test_an_answer_cut_short() -> None:
    answer = response(counts=[1])
    answer.raw_output_contents[1] = b""
    with pytest.raises(InferenceError, match="output 'boxes' has 0 bytes"):
        _wire.Decoder(INFO).decode(answer, sizes_hw=[(1, 1)])


def test_answers_find_their_requests(transport: Transport) -> None:
    images = [numbered(n) for n in range(64)]

    def ask(number: int) -> float:
        request_id = str(number)
        data = request_bytes([images[number].data], request_id=request_id)
        answer = transport.infer(data, request_id=request_id, timeout_seconds=30)
        assert answer.id == request_id
        return float(np.frombuffer(answer.raw_output_contents[1], np.float32)[0])

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(ask, range(64))) == [expected(image) for image in images]


def test_an_unknown_model(transport: Transport) -> None:
    data = request_bytes([b"x"], model="nobody")
    with pytest.raises(ModelNotFoundError, match=r"unknown model: 'nobody'.*`sightline models` lists"):
        transport.infer(data, request_id="7", timeout_seconds=30)


def test_a_refused_request_leaves_the_transport_usable(transport: Transport) -> None:
    with pytest.raises(InferenceError, match="batch-size must be <= 16"):
        transport.infer(request_bytes([b"x"] * 17), request_id="7", timeout_seconds=30)
    transport.infer(request_bytes([b"x"] * 16), request_id="7", timeout_seconds=30)


def test_a_deadline(transport: Transport) -> None:
    data = request_bytes([b"x"], model="slow")
    with pytest.raises(DeadlineExceededError, match="no answer from"):
        transport.infer(data, request_id="7", timeout_seconds=0.05)
    # The late answer disturbs nobody.
    transport.infer(request_bytes([b"x"], request_id="8"), request_id="8", timeout_seconds=30)


def test_closing_fails_what_is_on_its_way(transport: Transport, channel: Channel) -> None:
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            transport.infer(request_bytes([b"x"], model="slow"), request_id="7", timeout_seconds=60)
        except ServerUnavailableError as error:
            failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    channel.model_ready("echo", timeout_seconds=30)  # by now the request has long been sent
    transport.close()
    channel.close()
    thread.join()
    assert len(failures) == 1
    with pytest.raises(ServerUnavailableError, match="was closed"):
        transport.infer(request_bytes([b"x"]), request_id="8", timeout_seconds=60)


@pytest.mark.parametrize("kind", TRANSPORT_KINDS)
def test_nobody_listens(kind: TransportKind) -> None:
    channel = Channel("127.0.0.1:1")
    transport = open_transport(kind, channel)
    with pytest.raises(ServerUnavailableError, match=r"no Triton answers at 127\.0\.0\.1:1 .*sightline serve"):
        transport.infer(request_bytes([b"x"]), request_id="7", timeout_seconds=30)
    transport.close()
    channel.close()


def test_the_http_port(server: EmbeddedServer) -> None:
    channel = Channel(server.http_url)
    with pytest.raises(ServerUnavailableError, match="does not speak gRPC"):
        channel.model_config("echo", timeout_seconds=30)
    channel.close()


@pytest.mark.parametrize(
    "url", ["", "localhost", ":8001", "http://localhost:8001", "localhost:", "localhost:http", "localhost:70000", "a:0"]
)
def test_urls_of_another_form(url: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"must be HOST:PORT of Triton's gRPC service"):
        Channel(url)


@pytest.mark.parametrize("url", ["localhost:8001", "127.0.0.1:1", "[::1]:8001", "triton.example.com:443"])
def test_urls(url: str) -> None:
    Channel(url).close()
