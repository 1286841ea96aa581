"""The roofline, engines in processes of their own, and the sweep that stops."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.bench.two_convolutions import INPUT, write_rows, write_two_convolutions

from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.measure.rounds import take_turns
from sightline_bench.profile.engine_process import Job, Rows
from sightline_bench.profile.engines import EngineProcess
from sightline_bench.profile.options import ProfileOptions
from sightline_bench.profile.peak import COPY_BYTES, MemoryCopy, at_least_fp32, write_product
from sightline_bench.profile.roofline import Roof
from sightline_bench.profile.sweep import available_bytes, sweep
from sightline_server.engines import OpenVinoEngine

ROOF = Roof({"fp32": 100.0, "bf16": 400.0}, bytes_per_second=20.0)


def test_the_ridge_is_where_both_limits_meet() -> None:
    assert ROOF.ridge("fp32") == 5.0
    assert ROOF.attainable(5.0, "fp32") == 100.0


@pytest.mark.parametrize(
    ("intensity", "precision", "attainable", "bound"),
    [(1.0, "fp32", 20.0, "memory"), (50.0, "fp32", 100.0, "compute"), (5.0, "bf16", 100.0, "memory")],
)
def test_below_the_ridge_memory_is_the_limit(intensity: float, precision: str, attainable: float, bound: str) -> None:
    assert ROOF.attainable(intensity, precision) == attainable
    assert ROOF.bound(intensity, precision) == bound


def test_a_precision_that_was_not_measured_has_the_peak_of_fp32() -> None:
    assert ROOF.peak("fp16") == 100.0
    assert at_least_fp32({"fp32": 10.0, "int8": 4.0, "bf16": 30.0}) == {"fp32": 10.0, "int8": 10.0, "bf16": 30.0}


def test_a_copy_copies_everything() -> None:
    copy = MemoryCopy(3)
    assert copy.one_pass().seconds > 0
    assert sum(int(np.count_nonzero(target)) for target, _ in copy._parts) == COPY_BYTES


def test_the_quantised_product_is_about_the_exact_one(tmp_path: Path) -> None:
    left = np.random.default_rng(1).standard_normal((1, 4, 2048), dtype=np.float32)
    found = []
    for quantised in (False, True):
        file = tmp_path / f"{quantised}.onnx"
        write_product(file, quantised=quantised)
        (product,) = OpenVinoEngine(file, precision="fp32", threads=1).run({"left": left}).values()
        found.append(product.copy())
    exact, rounded = found
    assert np.abs(exact - rounded).mean() < 0.03 * np.abs(exact).mean()
    assert not np.array_equal(exact, rounded)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    file, rows = write_two_convolutions(tmp_path / "two.onnx"), write_rows(tmp_path / "rows.npz")
    return Job(file=str(file), engine="openvino", precision="fp32", threads=1, inputs=str(rows))


@pytest.fixture
def engine(job: Job) -> Iterator[EngineProcess]:
    with EngineProcess("two convolutions", job, runs=2) as running:
        yield running


def test_an_engine_in_its_own_process_takes_turns(engine: EngineProcess) -> None:
    passes = take_turns([engine], rounds=3)["two convolutions"]
    assert [each.images for each in passes] == [1, 1, 1]
    assert engine.loading.precision == "fp32"
    assert engine.loading.start_seconds > engine.loading.load_seconds > 0
    assert engine.loading.memory_bytes > 20e6


def test_a_sweep_runs_what_it_is_given(engine: EngineProcess) -> None:
    found = sweep(engine, (1, 2, 5), runs=2, seconds=300.0, memory_share=1.0)
    assert [point.batch for point in found.points] == [1, 2, 5]
    assert found.stopped == ""
    assert all(point.images_per_second == pytest.approx(point.batch / point.seconds) for point in found.points)


def test_a_sweep_without_time_stops_after_the_first_and_says_so(engine: EngineProcess) -> None:
    found = sweep(engine, (1, 64), runs=1, seconds=1e-6, memory_share=1.0)
    assert [point.batch for point in found.points] == [1]
    assert found.stopped.startswith("stopped before 64: it would take")


def test_a_sweep_without_memory_stops_after_the_first_and_says_so(engine: EngineProcess) -> None:
    assert available_bytes() > 1e6
    found = sweep(engine, (1, 2), runs=1, seconds=300.0, memory_share=1e-6)
    assert "of memory are allowed" in found.stopped


def test_a_graph_that_does_not_load_says_why(job: Job) -> None:
    Path(job.file).write_bytes(b"no graph")
    with pytest.raises(MeasurementError, match=r"broken: OpenVINO cannot load"):
        EngineProcess("broken", job)


def test_a_process_that_ended_is_told(engine: EngineProcess) -> None:
    engine._process.kill()
    engine._process.wait()
    with pytest.raises(MeasurementError, match="has ended"):
        engine.seconds(batch=1, runs=1)


def test_rows_repeat(tmp_path: Path) -> None:
    rows = Rows(str(write_rows(tmp_path / "rows.npz")), [INPUT])
    batch = rows.batch(4)[INPUT]
    assert len(batch) == 4
    assert np.array_equal(batch[0], batch[3])
    assert not np.array_equal(batch[0], batch[1])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batches": (4, 2)}, "rising"),
        ({"batches": ()}, "rising"),
        ({"batches": (0, 1)}, "rising"),
        ({"batches": (5000,)}, "more than the largest"),
        ({"rounds": 2}, "at least 3"),
        ({"runs": 0}, "runs is 0"),
        ({"formats": ("jpeg",)}, "not one of jsonl"),
        ({"batch_seconds": 0.0}, "more than 0"),
        ({"memory_share": 1.5}, "up to 1"),
        ({"beside": ("demo",)}, "beside itself"),
    ],
)
def test_options_that_are_not_allowed(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidOptionError, match=message):
        ProfileOptions(repository=Path(), model="demo", **wrong)  # type: ignore[arg-type]


def test_quick_is_less_of_everything() -> None:
    options = ProfileOptions(repository=Path(), model="demo")
    quick = options.quick()
    assert quick.batches == (1, 2, 4, 8, 16)
    assert quick.rounds <= options.rounds
    assert quick.served_images < options.served_images
