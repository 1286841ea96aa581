"""Engines whose run is one launch, over NVIDIA's libraries played by this process's memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.server import fake_tensorrt, tiny_detector
from tests.server.fake_cuda import FakeDriver, on_gpu
from tests.server.test_cuda import ON_THE_CPU

from sightline.contract import ONNX_FILE, TENSORRT_FILE
from sightline.errors import LaunchError, MeasurementError
from sightline_bench.gpu.captured import CAPTURING, CapturedOnnxRuntime
from sightline_bench.gpu.loop import Loop
from sightline_bench.gpu.plans import CapturedPlan
from sightline_server.cuda import CudaDevice

NO_CAPTURE = 900


class CapturingDriver(FakeDriver):
    """Remembers nothing of a stream, and runs a plan again when its graph is launched."""

    context: Any = None
    refuse = False

    def cuStreamBeginCapture_v2(self, stream: Any, mode: Any) -> int:  # noqa: N802 - NVIDIA's names
        return NO_CAPTURE if self.refuse else 0

    def cuStreamEndCapture(self, stream: Any, out: Any) -> int:  # noqa: N802
        out._obj.value = 11
        return 0

    def cuGraphInstantiateWithFlags(self, out: Any, graph: Any, flags: Any) -> int:  # noqa: N802
        assert graph.value == 11
        out._obj.value = 12
        return 0

    def cuGraphLaunch(self, graph: Any, stream: Any) -> int:  # noqa: N802
        assert (graph.value, stream.value) == (12, 7)
        self.context.execute_async_v3(stream.value)
        return 0


@pytest.fixture
def driver() -> CapturingDriver:
    return CapturingDriver()


@pytest.fixture
def plan(driver: CapturingDriver, tmp_path: Path) -> CapturedPlan:
    file = tmp_path / TENSORRT_FILE
    file.write_bytes(b"a plan")
    engine = CapturedPlan(file, device=CudaDevice(0, driver), precision="fp16", tensorrt=fake_tensorrt)
    driver.context = engine._context
    return engine


def test_a_plan_reads_its_inputs_where_they_were(plan: CapturedPlan, driver: CapturingDriver) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    plan.capture({"x": on_gpu(values)}, driver)
    np.testing.assert_array_equal(plan.replay()["y"], values * 2)
    values += 100
    np.testing.assert_array_equal(plan.replay()["y"], values * 2)
    assert driver.waiting == 0, "the outputs have arrived"


def test_a_stream_that_cannot_be_captured(plan: CapturedPlan, driver: CapturingDriver) -> None:
    driver.refuse = True
    with pytest.raises(MeasurementError, match="cuStreamBeginCapture_v2 fails with CUDA error 900"):
        plan.capture({"x": on_gpu(np.ones((1, 3), np.float32))}, driver)


def test_outputs_are_those_of_a_run_without(driver: CapturingDriver, tmp_path: Path) -> None:
    file = tmp_path / ONNX_FILE
    file.write_bytes(tiny_detector.graph().SerializeToString())
    given = tiny_detector.inputs(3)
    captured = CapturedOnnxRuntime(file, device=CudaDevice(0, driver), provider=ON_THE_CPU)
    wanted = {name: values.copy() for name, values in captured.run(given).items()}
    captured.capture(given, wanted)
    for _ in range(2):
        found = captured.replay()
        assert found.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values)


def test_nothing_is_captured_without_cuda(driver: CapturingDriver, tmp_path: Path) -> None:
    assert CAPTURING.options["enable_cuda_graph"] == "1"
    onnxruntime = pytest.importorskip("onnxruntime")
    if CAPTURING.name in onnxruntime.get_available_providers():
        pytest.skip("this machine has the ONNX Runtime for GPUs")
    with pytest.raises(LaunchError, match="is the one without GPUs"):
        CapturedOnnxRuntime(tmp_path / ONNX_FILE, device=CudaDevice(0, driver))


@pytest.mark.parametrize("streams", [1, 3])
def test_a_pass_counts_every_image_of_every_stream(streams: int) -> None:
    runs = [0] * streams

    def job(index: int) -> Any:
        def run() -> int:
            runs[index] += 1
            return 5

        return run

    loop = Loop("loop", [job(index) for index in range(streams)], batch=4, seconds=0.001)
    loop.warm_up()
    before = list(runs)
    came = loop.one_pass()
    done = [after - earlier for after, earlier in zip(runs, before, strict=True)]
    assert len(set(done)) == 1
    assert (came.images, came.found) == (4 * sum(done), 5 * sum(done))
    assert Loop("bare", [lambda: None], batch=1, seconds=0.001).one_pass().found is None
