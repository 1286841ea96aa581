"""Every config.pbtxt is rendered from the contract and reads back as it was."""

from __future__ import annotations

import pytest
from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.preprocessing import Preprocessing
from sightline_export import config

INFO = DetectorInfo(
    class_names=('a "quoted" name', "näme", "person"),
    preprocessing=Preprocessing.letterbox(960),
    precision="bf16",
    head="anchors_last",
    max_detections=77,
    source="best.pt",
    source_sha256="00ff",
    versions={"torch": "2.0"},
)
LETTERBOX = config.preprocessing_config(Preprocessing.letterbox(960), max_pixels=1234, warmup_jpeg_bytes=99)
NETWORK = config.network_config(detector="traffic", info=INFO)
ENSEMBLE = config.ensemble_config(detector="traffic", info=INFO)
ALL = [LETTERBOX, NETWORK, ENSEMBLE]
SCHEDULED = [LETTERBOX, NETWORK]


def name_of(model: pb.ModelConfig) -> str:
    return str(model.name)


@pytest.mark.parametrize("model", ALL, ids=name_of)
def test_round_trip(model: pb.ModelConfig) -> None:
    assert config.parse(config.render(model)) == model


@pytest.mark.parametrize("model", ALL, ids=name_of)
def test_serves_batches_and_names_no_device(model: pb.ModelConfig) -> None:
    assert model.max_batch_size == INFO.preprocessing.max_batch_size > 1
    assert "kind" not in config.render(model)


def test_onnx_runtime_computes_in_fp32_on_a_gpu_and_tries_no_algorithms() -> None:
    assert NETWORK.parameters["cudnn_conv_algo_search"].string_value == "1"
    (accelerator,) = NETWORK.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, dict(accelerator.parameters)) == ("cuda", {"use_tf32": "0"})


def test_a_plan_has_no_settings_of_onnx_runtime() -> None:
    plan = config.network_config(detector="traffic", info=INFO, backend=contract.TENSORRT_BACKEND)
    assert (plan.backend, plan.default_model_filename) == (contract.TENSORRT_BACKEND, contract.TENSORRT_FILE)
    assert not plan.HasField("optimization")
    assert set(plan.parameters) == set(ENSEMBLE.parameters)


@pytest.mark.parametrize("model", SCHEDULED, ids=name_of)
def test_batches_dynamically_with_a_stated_queue_policy(model: pb.ModelConfig) -> None:
    batching = model.dynamic_batching
    assert batching.max_queue_delay_microseconds == contract.MAX_QUEUE_DELAY_MICROSECONDS
    # Stated, and without a bound: see `config._schedule`.
    assert batching.HasField("default_queue_policy")
    assert batching.default_queue_policy == pb.ModelQueuePolicy()
    assert [group.count for group in model.instance_group] >= [1]


@pytest.mark.parametrize("model", SCHEDULED, ids=name_of)
def test_is_warmed_up(model: pb.ModelConfig) -> None:
    inputs = {tensor.name for tensor in model.input}
    assert model.model_warmup
    for warmup in model.model_warmup:
        assert set(warmup.inputs) == inputs
        assert 1 <= warmup.batch_size <= model.max_batch_size


def test_only_encoded_bytes_are_ragged() -> None:
    ragged = {(model.name, tensor.name): tensor.allow_ragged_batch for model in ALL for tensor in model.input}
    assert [key for key, value in ragged.items() if value] == [("letterbox_960", "encoded")]


def test_the_warm_up_picture_is_a_file() -> None:
    (warmup,) = LETTERBOX.model_warmup
    assert warmup.inputs["encoded"].input_data_file == config.WARMUP_JPEG
    assert list(warmup.inputs["encoded"].dims) == [99]


def test_tensors_are_those_of_the_contract() -> None:
    expected = {
        "letterbox_960": (INFO.preprocessing.inputs, INFO.preprocessing.outputs),
        "traffic_net": (INFO.preprocessing.network_inputs, contract.detection_outputs(77)),
        "traffic": (contract.ensemble_inputs(), contract.detection_outputs(77)),
    }
    for model in ALL:
        for tensors, specs in zip((model.input, model.output), expected[model.name], strict=True):
            came = [(t.name, pb.DataType.Name(t.data_type), tuple(t.dims)) for t in tensors]
            assert came == [(s.name, f"TYPE_{s.datatype}", s.dims) for s in specs]


def test_the_ensemble_maps_every_tensor() -> None:
    letterbox, network = ENSEMBLE.ensemble_scheduling.step
    assert set(letterbox.output_map) == {s.name for s in INFO.preprocessing.outputs}
    assert set(network.input_map) == {s.name for s in INFO.preprocessing.network_inputs}
    available = {t.name for t in ENSEMBLE.input} | set(letterbox.output_map.values())
    assert set(network.input_map.values()) <= available
    assert set(network.output_map.values()) == {t.name for t in ENSEMBLE.output}


@pytest.mark.parametrize("model", [NETWORK, ENSEMBLE], ids=name_of)
def test_the_detector_tells_about_itself(model: pb.ModelConfig) -> None:
    read = config.parse(config.render(model)).parameters
    assert DetectorInfo.from_parameters({name: value.string_value for name, value in read.items()}) == INFO


def test_the_letterbox_knows_its_limit() -> None:
    assert LETTERBOX.parameters[contract.MAX_PIXELS_PARAMETER].string_value == "1234"
