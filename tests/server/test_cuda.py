"""What goes into a GPU's memory and out of it, over a driver that is played by this process's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server import tiny_detector
from tests.server.fake_cuda import INVALID_DEVICE, INVALID_HANDLE, OUT_OF_MEMORY, FakeDriver, on_gpu

from sightline.contract import ONNX_FILE
from sightline.errors import LaunchError
from sightline_server.batching import run_requests
from sightline_server.cuda import CudaDevice, Parts, open_device
from sightline_server.dlpack import CUDA, RawArray
from sightline_server.engines import EngineError, OnnxRuntimeEngine
from sightline_server.gpu import INSTALL_COMMAND, NO_GPUS, CudaError, find_gpus, share_memory, take_memory
from sightline_server.onnx_gpu import OnnxRuntimeGpuEngine, Provider, lacking_provider

ON_THE_CPU = Provider("CPUExecutionProvider", "cpu", {})
"""The engine for GPUs, bound to this process's memory: all the same but for who computes."""


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def device(driver: FakeDriver) -> CudaDevice:
    return CudaDevice(0, driver)


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    file = tmp_path / ONNX_FILE
    file.write_bytes(tiny_detector.graph().SerializeToString())
    return file


def test_what_lies_there_stays_there(device: CudaDevice, driver: FakeDriver) -> None:
    given = on_gpu(np.arange(6, dtype=np.uint8).reshape(2, 3))
    assert device.place("images", given) is given
    assert not driver.copies


def test_the_rest_is_brought_together(device: CudaDevice, driver: FakeDriver) -> None:
    rng = np.random.default_rng(3)
    pieces = [rng.integers(0, 255, (count, 4, 5)).astype(np.uint8) for count in (1, 3, 2)]
    # One on this GPU, one on the other, one in the host's memory, and not in order.
    parts = Parts((on_gpu(pieces[0]), on_gpu(pieces[1], gpu=1), np.asfortranarray(pieces[2])))
    placed = device.place("images", parts)
    assert (placed.shape, placed.dtype, placed.device) == ((6, 4, 5), np.dtype(np.uint8), (CUDA, 0))
    assert placed.pointer in driver.allocated
    assert driver.waiting == 0, "it is ready before anybody is told"
    np.testing.assert_array_equal(device.to_host(placed), np.concatenate(pieces))


def test_what_lies_on_another_gpu_is_fetched(device: CudaDevice) -> None:
    given = on_gpu(np.arange(6, dtype=np.int64), gpu=1)
    placed = device.place("x", given)
    assert placed.device == (CUDA, 0)
    assert placed.pointer != given.pointer
    assert device.to_host(placed).tolist() == [0, 1, 2, 3, 4, 5]


def test_buffers_are_used_again_and_grow(device: CudaDevice, driver: FakeDriver) -> None:
    first = device.buffer("x", 100)
    assert device.buffer("x", 50) == first
    assert device.buffer("y", 50) != first
    device.buffer("x", 1000)
    assert sorted(len(buffer) for buffer in driver.allocated.values()) == [50, 1000]


def test_each_gpus_buffers_lie_on_it(driver: FakeDriver) -> None:
    devices = [CudaDevice(0, driver), CudaDevice(1, driver)]
    assert [driver.contexts[device.buffer("x", 10)] for device in devices] == [1000, 1001]


def test_a_full_gpu_is_an_error_that_passes(driver: FakeDriver) -> None:
    device = CudaDevice(0, driver)
    with pytest.raises(CudaError, match=f"cuMemAlloc_v2 on GPU 0 failed with CUDA error {OUT_OF_MEMORY}"):
        device.buffer("x", 2**30)
    assert device.buffer("x", 10) in driver.allocated


def test_a_gpu_that_is_not_there(driver: FakeDriver) -> None:
    with pytest.raises(CudaError, match=f"cuDeviceGet on GPU 2 failed with CUDA error {INVALID_DEVICE}"):
        CudaDevice(2, driver)


def test_processes_share_memory(driver: FakeDriver) -> None:
    handle = share_memory(driver)
    assert len(handle) == 64
    take_memory(driver, handle)
    assert driver.shared == set(driver.allocated)
    with pytest.raises(CudaError, match=f"cuIpcOpenMemHandle_v2 fails with CUDA error {INVALID_HANDLE}"):
        take_memory(driver, bytes(64))


@pytest.mark.skipif(find_gpus() != NO_GPUS, reason="this machine has a driver")
def test_a_machine_without_driver() -> None:
    with pytest.raises(LaunchError, match=r"GPU 0 cannot be used: libcuda\.so\.1"):
        open_device(0)


@pytest.mark.parametrize("count", [1, 3])
def test_the_engine_reads_inputs_where_they_lie(tiny: Path, driver: FakeDriver, count: int) -> None:
    engine = OnnxRuntimeGpuEngine(tiny, device=CudaDevice(0, driver), provider=ON_THE_CPU)
    given = tiny_detector.inputs(count)
    received = engine.run({**given, "images": on_gpu(given["images"])})
    for name, values in OnnxRuntimeEngine(tiny, threads=1).run(given).items():
        np.testing.assert_array_equal(received[name], values)
    assert not driver.copies


def test_requests_are_joined_on_the_gpu(tiny: Path, driver: FakeDriver) -> None:
    engine = OnnxRuntimeGpuEngine(tiny, device=CudaDevice(0, driver), provider=ON_THE_CPU)
    given = [tiny_detector.inputs(count, seed=count) for count in (1, 2, 4)]
    # The one in the middle came from a step that had to do without its GPU.
    requests: list[dict[str, Any]] = [{**each, "images": on_gpu(each["images"])} for each in given]
    requests[1] = given[1]
    answers = run_requests(engine, requests, joined=True)
    for each, answer in zip(given, answers, strict=True):
        assert not isinstance(answer, EngineError), answer
        wanted = tiny_detector.expected(each["images"], each["original_shape"], each["score_threshold"])
        for name, values in wanted.items():
            np.testing.assert_allclose(answer[name], values, atol=1e-5)
    assert driver.copies == [each["images"].nbytes for each in given]


def test_an_engine_without_room_fails_these_requests_only(tiny: Path) -> None:
    driver = FakeDriver(memory=1000)
    engine = OnnxRuntimeGpuEngine(tiny, device=CudaDevice(0, driver), provider=ON_THE_CPU)
    given = tiny_detector.inputs(1)
    with pytest.raises(EngineError, match="ONNX Runtime failed: cuMemAlloc_v2"):
        engine.run({**given, "images": on_gpu(given["images"], gpu=1)})
    assert engine.run({**given, "images": on_gpu(given["images"])}).keys() == set(engine.outputs)


def test_an_engine_that_cannot_load_says_so(tmp_path: Path, device: CudaDevice) -> None:
    broken = tmp_path / ONNX_FILE
    broken.write_bytes(b"not a graph")
    with pytest.raises(LaunchError, match=f"cannot load {broken}: [^\n]+$"):
        OnnxRuntimeGpuEngine(broken, device=device, provider=ON_THE_CPU)


def test_which_onnx_runtime_has_gpus() -> None:
    gpus = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    assert lacking_provider(gpus, "CUDAExecutionProvider", "1.31.1") == ""
    lack = lacking_provider(["CPUExecutionProvider"], "CUDAExecutionProvider", "1.31.1")
    assert lack == f"the installed ONNX Runtime 1.31.1 is the one without GPUs: {INSTALL_COMMAND}"


def test_one_row_of_a_batch_has_its_size() -> None:
    row = RawArray(pointer=0, shape=(1, 640, 640, 3), dtype=np.dtype(np.float32), device=(CUDA, 0), owner=None)
    assert row.nbytes == 640 * 640 * 3 * 4
