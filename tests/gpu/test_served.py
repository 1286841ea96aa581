"""The embedded server on GPUs: the same results as on the CPU, and pictures that never leave the GPU between steps."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from tests.gpu.conftest import DETECTOR, REPOSITORY, detect, serving
from tests.server.test_dali_isolation import damaged

from sightline import Client
from sightline.contract import ENCODED, network_name
from sightline.detections import Detections
from sightline.errors import CorruptImageError
from sightline.parity import compare, export_bar
from sightline_server import command
from sightline_server.gpu import Gpus
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.gpu

PROBE = """
import numpy as np
import triton_python_backend_utils as pb_utils
from sightline_server.dlpack import CUDA, raw_array

class TritonPythonModel:
    def execute(self, requests):
        responses = []
        for request in requests:
            images = pb_utils.get_input_tensor_by_name(request, "images")
            on_gpu = not images.is_cpu() and raw_array(images).device[0] == CUDA
            answer = np.full((images.shape()[0], 1), on_gpu, np.int32)
            responses.append(pb_utils.InferenceResponse([pb_utils.Tensor("on_gpu", answer)]))
        return responses
"""
PROBE_CONFIG = """
backend: "python" max_batch_size: 16
input [{name: "images" data_type: TYPE_UINT8 dims: [640, 640, 3]}]
output [{name: "on_gpu" data_type: TYPE_INT32 dims: [1]}]
parameters {key: "FORCE_CPU_ONLY_INPUT_TENSORS" value {string_value: "no"}}
"""
ENSEMBLE_CONFIG = """
platform: "ensemble" max_batch_size: 16
input [{name: "encoded" data_type: TYPE_UINT8 dims: [-1]}]
output [{name: "on_gpu" data_type: TYPE_INT32 dims: [1]}, {name: "original_shape" data_type: TYPE_INT64 dims: [3]}]
ensemble_scheduling {step [
  {model_name: "letterbox_640" model_version: -1
   input_map {key: "encoded" value: "encoded"}
   output_map {key: "images" value: "images"} output_map {key: "original_shape" value: "original_shape"}},
  {model_name: "probe" model_version: -1
   input_map {key: "images" value: "images"} output_map {key: "on_gpu" value: "on_gpu"}}
]}
"""


def test_every_step_runs_on_the_gpu(gpu_server: EmbeddedServer) -> None:
    engines = gpu_server.engines()
    assert {name: (info.engine, info.device, info.reason) for name, info in engines.items()} == {
        "letterbox_640": ("dali", "gpu", ""),
        network_name(DETECTOR): ("onnxruntime", "gpu", ""),
    }


@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_gpu_finds_what_the_cpu_finds(
    gpu_server: EmbeddedServer, found_on_cpu: dict[str, Detections], pictures: Mapping[str, bytes], batch_size: int
) -> None:
    report = compare(found_on_cpu, detect(gpu_server, pictures, batch_size=batch_size))
    verdict = report.judge(export_bar("fp32"))
    assert verdict.outcome == "passed", (report.summary(), verdict.reasons)


def test_undecodable_pictures_among_others(gpu_server: EmbeddedServer, pictures: Mapping[str, bytes]) -> None:
    alone = detect(gpu_server, pictures, batch_size=1)
    files = {name: [data, damaged(data), data] for name, data in pictures.items()}
    with Client(gpu_server.grpc_url, model=DETECTOR) as client:
        results = list(client.stream((data for group in files.values() for data in group), batch_size=1))
    for index, name in enumerate(pictures):
        first, bad, last = results[3 * index : 3 * index + 3]
        assert isinstance(bad.error, CorruptImageError), (name, bad)
        for result in (first, last):
            np.testing.assert_allclose(result.unwrap().boxes_xyxy, alone[name].boxes_xyxy, atol=0.1)


@pytest.mark.usefixtures("cuda_onnxruntime")
def test_pictures_stay_on_the_gpu_between_steps(tmp_path: Path, pictures: Mapping[str, bytes]) -> None:
    shutil.copytree(REPOSITORY / "letterbox_640", tmp_path / "letterbox_640")
    for name, config in (("probe", PROBE_CONFIG), ("probed", ENSEMBLE_CONFIG)):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "config.pbtxt").write_text(f'name: "{name}"\n{config}')
    (tmp_path / "probe" / "1" / "model.py").write_text(PROBE)
    with serving(tmp_path) as server, tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        for data in pictures.values():
            given = tritonclient.grpc.InferInput(ENCODED.name, [1, len(data)], ENCODED.datatype)
            given.set_data_from_numpy(np.frombuffer(data, np.uint8)[None])
            answer = client.infer("probed", [given]).as_numpy("on_gpu")
            assert answer is not None
            assert answer.tolist() == [[1]]


@pytest.mark.usefixtures("cuda_onnxruntime")
def test_pictures_without_room_on_the_gpu_go_through_the_hosts_memory(
    found_on_cpu: dict[str, Detections], pictures: Mapping[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "CUDA_POOL_BYTES", 2**20)  # less than one of them
    with serving(REPOSITORY, DETECTOR) as server:
        report = compare(found_on_cpu, detect(server, pictures))
    verdict = report.judge(export_bar("fp32"))
    assert verdict.outcome == "passed", (report.summary(), verdict.reasons)


def test_each_gpu_has_its_instances(
    gpus: Gpus, gpu_server: EmbeddedServer, found_on_cpu: dict[str, Detections], pictures: Mapping[str, bytes]
) -> None:
    if gpus.count < 2:
        pytest.skip("this machine has one NVIDIA GPU")
    with tritonclient.grpc.InferenceServerClient(gpu_server.grpc_url) as client:
        for name in ("letterbox_640", network_name(DETECTOR)):
            config = json.loads(json.dumps(client.get_model_config(name, as_json=True)))["config"]
            listed = [int(gpu) for group in config["instance_group"] for gpu in group["gpus"]]
            assert listed == list(range(gpus.count))
    # More at a time than one GPU's instances take, so that every GPU has its share.
    many = {f"{turn}_{name}": data for turn in range(20) for name, data in pictures.items()}
    wanted = {name: found_on_cpu[name.partition("_")[2]] for name in many}
    report = compare(wanted, detect(gpu_server, many, batch_size=1))
    assert report.judge(export_bar("fp32")).outcome == "passed", report.summary()
