"""The `onnxruntime` stand-in in the session's Triton."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from tests.server import tiny_detector
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from sightline.contract import ENGINES, ENGINES_MODEL, parse_engines
from sightline_server.cpu import available_cores
from sightline_server.engines import Arrays
from sightline_server.launcher import EmbeddedServer


@pytest.fixture(scope="module")
def client(server: EmbeddedServer) -> Iterator[tritonclient.grpc.InferenceServerClient]:
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        yield client


@pytest.fixture(scope="module")
def tiny(repository: Path, load_model: Callable[[str], None]) -> str:
    name = tiny_detector.write_network(repository, "tiny", tiny_detector.graph())
    load_model(name)
    return name


def infer(client: tritonclient.grpc.InferenceServerClient, model: str, arrays: Arrays) -> Arrays:
    inputs = []
    for name, value in arrays.items():
        inputs.append(tritonclient.grpc.InferInput(name, value.shape, np_to_triton_dtype(value.dtype.type)))
        inputs[-1].set_data_from_numpy(value)
    answer = client.infer(model, inputs)
    return {output.name: answer.as_numpy(output.name) for output in answer.get_response().outputs}


def check(client: tritonclient.grpc.InferenceServerClient, model: str, given: Arrays) -> None:
    received = infer(client, model, given)
    wanted = tiny_detector.expected(given["images"], given["original_shape"], given["score_threshold"])
    assert received.keys() == wanted.keys()
    for name, value in wanted.items():
        assert received[name].dtype == value.dtype
        np.testing.assert_allclose(received[name], value, atol=1e-5)


def test_answers_are_right_for_every_batch_size(client: tritonclient.grpc.InferenceServerClient, tiny: str) -> None:
    for count in (1, 2, 7, 16):
        check(client, tiny, tiny_detector.inputs(count, seed=count))


def test_requests_of_different_sizes_share_batches(client: tritonclient.grpc.InferenceServerClient, tiny: str) -> None:
    before = _executions(client, tiny)
    sizes = [1, 3, 2, 5, 1, 4] * 8
    with ThreadPoolExecutor(len(sizes)) as pool:
        list(
            pool.map(lambda seed: check(client, tiny, tiny_detector.inputs(sizes[seed], seed=seed)), range(len(sizes)))
        )
    assert _executions(client, tiny) - before < len(sizes), "no two requests were run together"


def test_hostile_thresholds_change_nobody_elses_results(
    client: tritonclient.grpc.InferenceServerClient, tiny: str
) -> None:
    thresholds = [np.nan, -1.0, 2.0, np.inf, -np.inf, 0.0, 0.5, 0.25] * 4

    def ask(index: int) -> None:
        given = tiny_detector.inputs(1, seed=index)
        check(client, tiny, given | {"score_threshold": np.array([[thresholds[index]]], np.float32)})

    with ThreadPoolExecutor(len(thresholds)) as pool:
        list(pool.map(ask, range(len(thresholds))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images", np.zeros((1, 320, 319, 3), np.uint8)),
        ("images", np.zeros((1, 320, 320), np.uint8)),
        ("images", np.zeros((1, 320, 320, 3), np.float32)),
        ("images", np.zeros((17, 320, 320, 3), np.uint8)),
        ("images", np.zeros((0, 320, 320, 3), np.uint8)),
        ("original_shape", np.zeros((1, 4), np.int64)),
        ("score_threshold", np.zeros((2, 1), np.float32)),
    ],
)
def test_wrong_shapes_and_types_are_refused(
    client: tritonclient.grpc.InferenceServerClient, tiny: str, name: str, value: np.ndarray
) -> None:
    with pytest.raises(InferenceServerException):
        infer(client, tiny, tiny_detector.inputs(1) | {name: value})
    check(client, tiny, tiny_detector.inputs(2))


def test_a_request_that_fails_fails_alone(
    client: tritonclient.grpc.InferenceServerClient, repository: Path, load_model: Callable[[str], None]
) -> None:
    model = tiny_detector.write_network(repository, "picky", tiny_detector.failing_above(4000))
    load_model(model)

    def ask(index: int) -> str:
        given = tiny_detector.inputs(1, seed=index)
        if index % 5 == 0:
            given["original_shape"][:, 0] = 9000
        try:
            check(client, model, given)
        except InferenceServerException as error:
            return str(error)
        return ""

    with ThreadPoolExecutor(40) as pool:
        errors = list(pool.map(ask, range(40)))
    assert [bool(error) for error in errors] == [index % 5 == 0 for index in range(40)]
    assert "failed: " in errors[0]


def test_clients_see_which_engine_runs(
    client: tritonclient.grpc.InferenceServerClient, tiny: str, repository: Path, load_model: Callable[[str], None]
) -> None:
    odd = tiny_detector.write_network(repository, "odd", tiny_detector.unknown_to_openvino())
    load_model(odd)
    check(client, odd, tiny_detector.inputs(3))
    answer = client.infer(ENGINES_MODEL, []).as_numpy(ENGINES.name)
    assert answer is not None
    engines = parse_engines(answer.tobytes())
    assert (engines[tiny].engine, engines[tiny].precision, engines[tiny].reason) == ("openvino", "fp32", "")
    assert engines[tiny].threads == max(1, available_cores() // 2)
    assert engines[odd].engine == "onnxruntime"
    assert "OpenVINO" in engines[odd].reason


def _executions(client: tritonclient.grpc.InferenceServerClient, model: str) -> int:
    return int(client.get_inference_statistics(model).model_stats[0].execution_count)
