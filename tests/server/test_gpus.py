"""What the launcher does differently where there are GPUs, on machines that have none."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
from google.protobuf import json_format
from tests.server import tiny_detector
from tests.server.test_onnx_stand_in import check

from sightline.contract import ENSEMBLE_PLATFORM, ONNX_FILE, TENSORRT_BACKEND, TENSORRT_FILE
from sightline.errors import LaunchError, MissingDependencyError, ModelLoadError
from sightline_export.config import parse, render
from sightline_server import command, engine_choice, gpu, staging
from sightline_server.gpu import NO_GPUS, Gpus, find_gpus, instance_device, lacking_engine
from sightline_server.launcher import EmbeddedServer
from sightline_server.locate import TritonFiles, locate_triton
from sightline_server.options import ServerOptions
from sightline_server.ports import Ports

TWO = Gpus(count=2, library="/usr/lib/x86_64-linux-gnu/libcuda.so.550.54")
HOST_ONLY = "FORCE_CPU_ONLY_INPUT_TENSORS"


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with a network, an ensemble and a preprocessing, as far as the launcher reads them."""
    repository = tmp_path / "models"
    tiny_detector.write_network(repository, "tiny", tiny_detector.graph())
    for name, backend in (("letterbox_320", 'backend: "dali"'), ("tiny", f'platform: "{ENSEMBLE_PLATFORM}"')):
        (repository / name / "1").mkdir(parents=True)
        (repository / name / "config.pbtxt").write_text(f'name: "{name}"\n{backend}\n')
    return repository


@pytest.fixture
def files() -> TritonFiles:
    try:
        return locate_triton()
    except MissingDependencyError as error:
        pytest.skip(str(error))


def command_line(files: TritonFiles, models: Path, folder: Path, gpus: Gpus) -> list[str]:
    options = ServerOptions(repository=models)
    return command.server_command(options, files, Ports(grpc=1, http=2, metrics=3), folder, "prefix-", gpus)


def having(arguments: Sequence[str], option: str) -> list[str]:
    return [argument.partition("=")[2] for argument in arguments if argument.startswith(f"--{option}=")]


def test_without_gpus_nothing_is_kept_for_them(files: TritonFiles, models: Path, tmp_path: Path) -> None:
    arguments = command_line(files, models, tmp_path, NO_GPUS)
    assert having(arguments, "allow-gpu-metrics") == ["false"]
    assert having(arguments, "pinned-memory-pool-byte-size") == ["0"]
    assert having(arguments, "cuda-memory-pool-byte-size") == []
    assert staging.server_environment(tmp_path, files, ServerOptions(repository=models))["CUDA_VISIBLE_DEVICES"] == ""


def test_with_gpus_each_has_its_pool(
    files: TritonFiles, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = command_line(files, models, tmp_path, TWO)
    assert having(arguments, "allow-gpu-metrics") == ["true"]
    size = 16 * 3 * 1920 * 1920 * 3 + 2**20  # a batch of the largest pictures, for a preprocessing and two networks
    assert having(arguments, "cuda-memory-pool-byte-size") == [f"0:{size}", f"1:{size}"]
    assert size % (3 * 32 * 32) >= 512, "whatever the pictures' size, cnmem's smallest piece is left"
    # A Python model's pictures on a GPU would never arrive there.
    assert having(arguments, "pinned-memory-pool-byte-size") == ["0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    options = ServerOptions(repository=models)
    assert staging.server_environment(tmp_path, files, options, TWO)["CUDA_VISIBLE_DEVICES"] == "3,5"
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "CUDA_VISIBLE_DEVICES" not in staging.server_environment(tmp_path, files, options, TWO)


def test_the_drivers_library_has_the_name_that_triton_looks_for(files: TritonFiles) -> None:
    for gpus, expected in ((NO_GPUS, None), (TWO, TWO.library)):
        folder = staging.stage(files, gpus)
        try:
            link = folder / "lib" / "libcuda.so"
            assert (os.readlink(link) if link.is_symlink() else None) == expected  # noqa: PTH115
        finally:
            shutil.rmtree(folder)


def test_networks_are_handed_what_lies_on_a_gpu(models: Path, tmp_path: Path) -> None:
    before = (models / "tiny_net" / "config.pbtxt").read_text()
    view = staging.repository_view(tmp_path, ServerOptions(repository=models), TWO)
    assert sorted(entry.name for entry in view.iterdir()) == ["letterbox_320", "tiny", "tiny_net"]
    staged = parse((view / "tiny_net" / "config.pbtxt").read_text())
    assert staged.parameters[HOST_ONLY].string_value == "no"
    del staged.parameters[HOST_ONLY]
    assert staged == parse(before), "nothing else is changed"
    assert (view / "tiny_net" / "1" / ONNX_FILE).resolve() == models / "tiny_net" / "1" / ONNX_FILE
    assert (view / "tiny_net" / "warmup").resolve() == models / "tiny_net" / "warmup"
    assert (view / "letterbox_320").resolve() == models / "letterbox_320"
    assert (models / "tiny_net" / "config.pbtxt").read_text() == before


def test_plans_too_and_only_the_models_that_are_wanted(models: Path, tmp_path: Path) -> None:
    config = models / "tiny_net" / "config.pbtxt"
    config.write_text(config.read_text().replace('backend: "onnxruntime"', 'backend: "tensorrt"'))
    view = staging.repository_view(tmp_path, ServerOptions(repository=models, models=("tiny_net",)), TWO)
    assert [entry.name for entry in view.iterdir()] == ["tiny_net"]
    assert HOST_ONLY in (view / "tiny_net" / "config.pbtxt").read_text()


def test_on_the_cpu_networks_are_not_set_up_for_batches(models: Path, tmp_path: Path) -> None:
    before = parse((models / "tiny_net" / "config.pbtxt").read_text())
    assert max(warmup.batch_size for warmup in before.model_warmup) > 1
    assert before.HasField("dynamic_batching")
    view = staging.repository_view(tmp_path, ServerOptions(repository=models), NO_GPUS)
    assert sorted(entry.name for entry in view.iterdir()) == ["letterbox_320", "tiny", "tiny_net"]
    staged = parse((view / "tiny_net" / "config.pbtxt").read_text())
    assert [warmup.batch_size for warmup in staged.model_warmup] == [1]
    assert staged.model_warmup[0] == before.model_warmup[0]
    del staged.model_warmup[:], before.model_warmup[:]
    before.ClearField("dynamic_batching")
    assert staged == before, "nothing else is changed"
    assert (view / "letterbox_320").resolve() == models / "letterbox_320", "decoding is left as it is"


def test_a_bound_on_the_queue_stays(models: Path, tmp_path: Path) -> None:
    file = models / "tiny_net" / "config.pbtxt"
    bound = "  default_queue_policy {\n    max_queue_size: 4\n"
    file.write_text(file.read_text().replace("  default_queue_policy {\n", bound))
    view = staging.repository_view(tmp_path, ServerOptions(repository=models), NO_GPUS)
    staged = parse((view / "tiny_net" / "config.pbtxt").read_text())
    assert staged.dynamic_batching.default_queue_policy.max_queue_size == 4


@pytest.mark.parametrize("gpus", [NO_GPUS, TWO])
def test_otherwise_triton_gets_the_repository_itself(models: Path, tmp_path: Path, gpus: Gpus) -> None:
    options = ServerOptions(repository=models, allow_model_control=True)
    assert staging.repository_view(tmp_path, options, gpus) == models
    assert HOST_ONLY not in (models / "tiny_net" / "config.pbtxt").read_text()


def test_triton_takes_what_is_meant_for_gpus(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """All of it, but for GPUs: Triton sees that there are none, and computes on the CPU, which is told."""
    tiny_detector.write_network(tmp_path, "tiny", tiny_detector.graph())
    options = ServerOptions(repository=tmp_path, grpc_port=0, http_port=0, metrics_port=0, stop_timeout_seconds=0.2)
    with EmbeddedServer(options, gpus=Gpus(count=2)) as server:
        assert "models run on the CPU: Triton uses none of the NVIDIA GPUs (2)" in caplog.text
        assert (server.engines()["tiny_net"].engine, server.engines()["tiny_net"].device) == ("openvino", "cpu")
        with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
            assert client.get_model_config("tiny_net").config.parameters[HOST_ONLY].string_value == "no"
            check(client, "tiny_net", tiny_detector.inputs(3))


def test_an_instance_computes_where_triton_put_it() -> None:
    assert instance_device({"model_instance_kind": "CPU", "model_instance_device_id": "0"}) is None
    assert instance_device({"model_instance_kind": "GPU", "model_instance_device_id": "3"}) == 3


def test_gpus_that_are_hidden_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    found = find_gpus()
    assert (found.count, found.problem) == (0, "")


def test_a_driver_that_fails_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some library under the driver's name, which knows none of its functions.
    import _ctypes

    (tmp_path / gpu.DRIVER_LIBRARY).symlink_to(_ctypes.__file__)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    found = find_gpus()
    assert found.count == 0
    assert "asking the NVIDIA driver ended with status 1: " in found.problem
    assert "cuInit" in found.problem


@pytest.mark.parametrize(
    ("files", "lacking"),
    [
        ([], True),
        (["onnxruntime/__init__.py"], True),
        (["onnxruntime/__init__.py", "onnxruntime/capi/libonnxruntime_providers_cuda.so"], False),
        (["onnxruntime/__init__.py", "tensorrt/__init__.py"], False),
    ],
)
def test_gpus_are_used_where_something_can_use_them(tmp_path: Path, files: list[str], lacking: bool) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    expected = f"the installed ONNX Runtime is the one without GPUs: {gpu.INSTALL_COMMAND}" if lacking else ""
    assert lacking_engine([str(tmp_path)]) == expected


def served_config(folder: Path) -> dict[str, Any]:
    """The model's configuration as Triton hands it to a backend."""
    text = (folder / "config.pbtxt").read_text()
    config: dict[str, Any] = json.loads(json_format.MessageToJson(parse(text), preserving_proto_field_name=True))
    return config


@pytest.mark.skipif(find_gpus() != NO_GPUS, reason="this machine has a driver")
def test_a_gpu_that_cannot_be_used_is_replaced_aloud(models: Path) -> None:
    folder = models / "tiny_net"
    engine, info = engine_choice.open_engine(served_config(folder), folder / "1" / ONNX_FILE, 0)
    assert (info.engine, info.device) == ("openvino", "cpu")
    assert info.reason.startswith("on the CPU: GPU 0 cannot be used: libcuda.so.1")
    given = tiny_detector.inputs(2)
    wanted = tiny_detector.expected(given["images"], given["original_shape"], given["score_threshold"])
    np.testing.assert_allclose(engine.run(given)["scores"], wanted["scores"], atol=1e-5)


def test_a_plan_without_gpu_says_what_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / tiny_detector.write_network(tmp_path, "tiny", tiny_detector.graph())
    config = parse((folder / "config.pbtxt").read_text())
    config.backend, config.default_model_filename = TENSORRT_BACKEND, TENSORRT_FILE
    (folder / "config.pbtxt").write_text(render(config))
    (folder / "1" / ONNX_FILE).rename(folder / "1" / TENSORRT_FILE)
    options = ServerOptions(repository=tmp_path, grpc_port=0, http_port=0, metrics_port=0, use_gpus=False)
    with pytest.raises(
        ModelLoadError, match=r"model 'tiny_net' .*model\.plan is a TensorRT plan, .* on the CPU: it needs"
    ):
        EmbeddedServer(options)


@pytest.mark.skipif(find_gpus() != NO_GPUS, reason="this machine has a driver")
def test_a_plan_needs_a_gpu_that_works(models: Path) -> None:
    config = served_config(models / "tiny_net")
    with pytest.raises(LaunchError, match="GPU 0 cannot be used"):
        engine_choice.open_plan(config, models / "tiny_net" / "1" / "model.plan", 0)
