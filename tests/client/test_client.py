from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tests.client.noop_images import BLAME, expected, found, numbered
from tritonclient.grpc import model_config_pb2

import sightline
from sightline import Client, ClientOptions, EncodedImage
from sightline.contract import CONTRACT_VERSION_PARAMETER
from sightline.detector_info import DetectorInfo
from sightline.errors import (
    ClientStateError,
    ContractMismatchError,
    CorruptImageError,
    ImageTooLargeError,
    InvalidOptionError,
    ModelNotFoundError,
    ServerUnavailableError,
    UnreadableImageError,
)
from sightline.preprocessing import Preprocessing
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_server.launcher import EmbeddedServer

INFO = DetectorInfo(
    class_names=("cat", "dog"), preprocessing=Preprocessing.letterbox(320), max_detections=7, source="pets.pt"
)


@pytest.fixture(scope="module", autouse=True)
def detectors(repository: Path, load_model: Callable[[str], None]) -> None:
    write_noop_detector(repository, "pets", options=NoopOptions(echo=True, blame=BLAME), info=INFO)
    load_model("pets")


def test_info(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, model="pets") as client:
        assert client.info == INFO


def test_detect(server: EmbeddedServer, tmp_path: Path) -> None:
    image = numbered(5)
    (tmp_path / "a.bmp").write_bytes(image.data)
    with Client(server.grpc_url, model="pets") as client:
        for same in (image, image.data, tmp_path / "a.bmp", str(tmp_path / "a.bmp")):
            detections = client.detect(same, score_threshold=0.5)
            assert detections.boxes_xyxy[0, 0] == expected(image)
            assert (detections.class_names, detections.image_size_hw) == (("cat", "dog"), (2, 3))


def test_a_numpy_frame(server: EmbeddedServer) -> None:
    frame = EncodedImage.from_array(np.zeros((48, 64, 3), np.uint8))
    with Client(server.grpc_url, model="pets") as client:
        assert client.detect(frame).image_size_hw == (48, 64)


def test_detect_raises_what_is_wrong(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, model="pets", options=ClientOptions(max_pixels=10, max_image_bytes=500)) as client:
        with pytest.raises(UnreadableImageError, match="No such file"):
            client.detect("nowhere.jpg")
        with pytest.raises(CorruptImageError, match="truncated"):
            client.detect(numbered(1, tail=BLAME.encode()))
        with pytest.raises(ImageTooLargeError, match=r"above the limit of 0\.0 megapixels"):
            client.detect(EncodedImage.from_array(np.zeros((4, 3, 3), np.uint8)))
        with pytest.raises(ImageTooLargeError, match="above the limit of 500"):
            client.detect(bytes(501))
        with pytest.raises(InvalidOptionError, match="from_array"):
            client.detect(np.zeros((4, 3, 3), np.uint8))  # type: ignore[arg-type]


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan"), float("inf")])
def test_thresholds_are_checked_before_anything_is_sent(threshold: float) -> None:
    client = Client("127.0.0.1:1", model="pets")
    with pytest.raises(InvalidOptionError, match="score_threshold is"):
        client.detect(b"", score_threshold=threshold)
    with pytest.raises(InvalidOptionError, match="score_threshold is"):
        client.stream([], score_threshold=threshold)
    with pytest.raises(InvalidOptionError, match="score_threshold is"):
        ClientOptions(score_threshold=threshold)


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, True, "8"])
def test_batch_sizes_are_checked(batch_size: Any) -> None:
    with pytest.raises(InvalidOptionError, match="batch_size is"):
        Client("127.0.0.1:1", model="pets").stream([], batch_size=batch_size)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timeout_seconds", 0),
        ("timeout_seconds", float("nan")),
        ("timeout_seconds", float("inf")),
        ("reconnect_seconds", -1),
        ("reconnect_seconds", float("nan")),
        ("transport", "carrier pigeon"),
        ("in_flight", 0),
        ("in_flight", 1.5),
        ("in_flight_pixels", 0),
        ("batch_bytes", 0),
        ("batch_pixels", 1.5),
        ("max_pixels", -5),
        ("max_image_bytes", 0),
    ],
)
def test_options_are_checked(field: str, value: Any) -> None:
    with pytest.raises(InvalidOptionError, match=field):
        ClientOptions(**{field: value})


def test_an_unknown_model(server: EmbeddedServer) -> None:
    with Client(server.grpc_url, model="nobody") as client:
        with pytest.raises(ModelNotFoundError, match="nobody"):
            _ = client.info
        with pytest.raises(ModelNotFoundError, match="nobody"):
            list(client.stream([b"x"]))


def test_no_server() -> None:
    with (
        Client("127.0.0.1:1", model="pets") as client,
        pytest.raises(ServerUnavailableError, match=r"no Triton answers.*sightline serve"),
    ):
        client.detect(b"x")


def test_an_empty_model_name() -> None:
    with pytest.raises(InvalidOptionError, match="model is empty"):
        Client(model="")


Change = Callable[[model_config_pb2.ModelConfig], object]


def rewrite(folder: Path, change: Change) -> None:
    path = folder / "config.pbtxt"
    config = text_format.Parse(path.read_text(), model_config_pb2.ModelConfig())
    change(config)
    path.write_text(text_format.MessageToString(config))


MISMATCHES: dict[str, tuple[Change, str]] = {
    "other": (lambda config: setattr(config.input[0], "name", "x"), r"takes score_threshold, x, a detector takes"),
    "older": (
        lambda config: setattr(config.parameters[CONTRACT_VERSION_PARAMETER], "string_value", "0"),
        r"contract version is 0, this is version 2: export the model again",
    ),
    "double": (
        lambda config: setattr(config.output[1], "data_type", model_config_pb2.TYPE_FP64),
        r"'boxes' as \('FP64', \(300, 4\)\), the contract as \('FP32', \(300, 4\)\)",
    ),
    "fewer": (lambda config: config.output.pop(), r"'classes' as nothing"),
}


@pytest.mark.parametrize("name", MISMATCHES)
def test_models_that_are_not_detectors(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None], name: str
) -> None:
    change, message = MISMATCHES[name]
    rewrite(write_noop_detector(repository, name), change)
    load_model(name)
    with (
        Client(server.grpc_url, model=name) as client,
        pytest.raises(ContractMismatchError, match=f"model '{name}'.*{message}"),
    ):
        client.detect(numbered(1))


def test_a_detector_that_is_exported_again_with_other_limits(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]
) -> None:
    def serve(max_detections: int) -> DetectorInfo:
        info = DetectorInfo(class_names=("cat",), max_detections=max_detections, source="pets.pt")
        write_noop_detector(repository, "reloaded", options=NoopOptions(echo=True), info=info)
        load_model("reloaded")
        return info

    serve(7)
    image = numbered(5)
    with Client(server.grpc_url, model="reloaded") as client:
        results = client.stream(itertools.repeat(image), batch_size=1)
        assert found(next(results)) == expected(image)
        info = serve(9)
        assert client.detect(image).boxes_xyxy[0, 0] == expected(image)
        assert client.info == info
        assert {found(result) for result in itertools.islice(results, 40)} == {expected(image)}


def test_a_closed_client(server: EmbeddedServer) -> None:
    client = Client(server.grpc_url, model="pets")
    client.detect(numbered(1))
    client.close()
    client.close()
    with pytest.raises(ClientStateError, match="closed"):
        client.detect(numbered(1))
    with pytest.raises(ClientStateError, match="closed"):
        list(client.stream([numbered(1)]))


FORKING = """
import os, sys
from sightline import Client
from sightline.errors import ClientStateError
from tests.client.noop_images import numbered
client = Client(sys.argv[1], model="pets")
stream = client.stream(numbered(n) for n in range(100))
next(stream)
child = os.fork()
if not child:
    said = []
    for use in (lambda: client.detect(numbered(1)), lambda: list(stream), lambda: list(client.stream([numbered(1)]))):
        try:
            use()
        except ClientStateError as error:
            said.append(str(error))
    client.close()
    print(len(said), said[0], flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(len(list(stream)), flush=True)
client.close()
"""


def test_a_forked_process_gets_a_clear_error(server: EmbeddedServer) -> None:
    command = [sys.executable, "-c", FORKING, server.grpc_url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    child, parent = done.stdout.splitlines()
    assert child == "3 this client was made before the process forked: make a new one in the child"
    assert parent == "99"


def test_public_names() -> None:
    for name in sightline.__all__:
        assert getattr(sightline, name) is not None
        assert name in dir(sightline)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = sightline.Nothing
