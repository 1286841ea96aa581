"""The engine of plans, on a TensorRT and a GPU that are played; `tests/gpu` has the real ones."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from tests.server import fake_tensorrt
from tests.server.fake_cuda import FakeDriver, on_gpu

from sightline.contract import TENSORRT_FILE
from sightline.errors import LaunchError, MissingDependencyError
from sightline_server.batching import run_requests
from sightline_server.cuda import CudaDevice
from sightline_server.dlpack import RawArray
from sightline_server.engines import EngineError
from sightline_server.tensorrt_engine import TensorRtEngine, import_tensorrt


def open_plan(folder: Path, plan: bytes = b"a plan", driver: FakeDriver | None = None) -> TensorRtEngine:
    file = folder / TENSORRT_FILE
    file.write_bytes(plan)
    device = CudaDevice(0, driver or FakeDriver())
    return TensorRtEngine(file, device=device, precision="fp16", tensorrt=fake_tensorrt)


def rows(count: int, value: float = 1.0) -> np.ndarray:
    return np.full((count, 3), value, np.float32) + np.arange(count, dtype=np.float32)[:, None]


def test_it_tells_what_it_is(tmp_path: Path) -> None:
    engine = open_plan(tmp_path)
    assert (engine.name, engine.version, engine.precision) == ("tensorrt", "11.4.0", "fp16")
    assert (list(engine.inputs), list(engine.outputs)) == (["x"], ["y"])


def test_every_batch_size_takes_the_shapes_that_it_belongs_to(tmp_path: Path) -> None:
    engine = open_plan(tmp_path)
    for count in (1, 4, 8, 1, 2):
        given = rows(count, 5)
        np.testing.assert_array_equal(engine.run({"x": given})["y"], given * 2)
        np.testing.assert_array_equal(engine.run({"x": on_gpu(given)})["y"], given * 2)


def test_answers_stay_as_they_are(tmp_path: Path) -> None:
    engine = open_plan(tmp_path)
    first = engine.run({"x": rows(2, 1)})["y"]
    engine.run({"x": rows(2, 7)})
    np.testing.assert_array_equal(first, rows(2, 1) * 2)


def test_inputs_on_the_gpu_are_not_copied(tmp_path: Path) -> None:
    driver = FakeDriver()
    given = rows(4)
    open_plan(tmp_path, driver=driver).run({"x": on_gpu(given)})
    assert driver.copies == [given.nbytes], "the outputs alone"


def test_a_plan_of_another_version_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        LaunchError,
        match=r"TensorRT 11\.4\.0 cannot load .*model\.plan: The engine plan file is not compatible with this version "
        r"of TensorRT; a plan runs only .* build it again here: sightline tensorrt build$",
    ):
        open_plan(tmp_path, b"for another version")


def test_a_full_gpu(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"has no room for .*model\.plan on this GPU: out of memory"):
        open_plan(tmp_path, b"too large")


def test_what_the_plan_does_not_take_fails_alone(tmp_path: Path) -> None:
    engine = open_plan(tmp_path)
    with pytest.raises(EngineError, match=r"the plan takes no \{'x': \(9, 3\)\}; it takes \(least, best, most\)"):
        engine.run({"x": rows(9)})
    with pytest.raises(EngineError, match=r"the plan takes no \{'x': \(2, 4\)\}"):
        engine.run({"x": np.zeros((2, 4), np.float32)})
    with pytest.raises(EngineError, match="input 'x' is float64, the plan takes float32"):
        engine.run({"x": np.zeros((2, 3))})
    requests: list[dict[str, np.ndarray | RawArray]] = [
        {"x": rows(1, 1)},
        {"x": rows(1, 13)},
        {"x": on_gpu(rows(2, 3))},
    ]
    answers = run_requests(engine, requests, joined=True)
    errors = [str(answer) if isinstance(answer, EngineError) else "" for answer in answers]
    assert errors == ["", "TensorRT failed at the run: IExecutionContext::enqueueV3: 13 is refused", ""]


def test_a_gpu_without_room_for_the_inputs(tmp_path: Path) -> None:
    engine = open_plan(tmp_path, driver=FakeDriver(memory=40))
    with pytest.raises(EngineError, match="cuMemAlloc_v2 on GPU 0 failed with CUDA error 2"):
        engine.run({"x": rows(8)})
    np.testing.assert_array_equal(engine.run({"x": rows(1)})["y"], rows(1) * 2)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="this machine has TensorRT")
def test_without_the_package() -> None:
    with pytest.raises(MissingDependencyError, match="pip install tensorrt-cu13, or tensorrt-cu12"):
        import_tensorrt()
