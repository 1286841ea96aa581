"""Loads: perf_analyzer and its reports, the built-in generator, and the server's statistics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.conftest import skip_or_fail

from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.load.crowd import FAIRNESS, Crowd
from sightline_bench.load.driver import Driver, Target, choose_driver
from sightline_bench.load.generator import closed_loop, open_loop, run_load
from sightline_bench.load.loads import Load
from sightline_bench.load.perf_analyzer import PerfAnalyzer, install, read_report
from sightline_bench.load.server_statistics import Counts, steps_between
from sightline_bench.load.sweep import ladder, rates, sweep
from sightline_bench.material.workshop import Workshop
from sightline_bench.noop import NoopOptions, write_noop_detector
from sightline_bench.transports import payload_of
from sightline_export.sample import BUNDLED_FOLDER
from sightline_server.launcher import EmbeddedServer

HERE = Path(__file__).parent
PAYLOADS = [payload_of(2000).data, payload_of(3000).data]
PLANTED_SECONDS = 0.03


@pytest.fixture(scope="module")
def slow_target(server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]) -> Target:
    """A no-op model with a planted delay."""
    write_noop_detector(repository, "noop_slow", options=NoopOptions(delay_seconds=PLANTED_SECONDS))
    load_model("noop_slow")
    return Target.at(server, "noop_slow", PAYLOADS)


@pytest.fixture(scope="module")
def perf_analyzer(tmp_path_factory: pytest.TempPathFactory) -> PerfAnalyzer:
    try:
        return install(tmp_path_factory.mktemp("perf_analyzer"))
    except MeasurementError as error:
        skip_or_fail(f"needs perf_analyzer: {error}")
        raise


def test_reports_of_the_real_program_are_read() -> None:
    row = read_report(HERE / "perf_analyzer_concurrency.csv")
    assert row.images_per_second == 441.716
    assert row.latency_ms == {50: 7.64, 90: 13.404, 95: 15.759, 99: 21.207}
    assert read_report(HERE / "perf_analyzer_poisson.csv").images_per_second == 94.9833


def test_the_installed_program_says_what_it_is(perf_analyzer: PerfAnalyzer) -> None:
    assert perf_analyzer.version().startswith("Perf Analyzer Version 2.51.0")


@pytest.mark.parametrize(("text", "message"), [("", "0 rows"), ("Concurrency,p50 latency\n4,100\n", "not as expected")])
def test_other_reports_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "report.csv").write_text(text)
    with pytest.raises(MeasurementError, match=message):
        read_report(tmp_path / "report.csv")


@pytest.mark.parametrize(
    "options", [{}, {"concurrency": 1, "request_rate": 1.0}, {"concurrency": -1}, {"batch": 0}, {"concurrency": 2}]
)
def test_what_is_no_load_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidOptionError, match="is no load"):
        Load(requests=1, **options)


@pytest.mark.parametrize(
    "load",
    [
        Load(requests=12, concurrency=2),
        Load(requests=6, concurrency=2, batch=2),
        Load(requests=12, concurrency=2, protocol="http"),
        Load(requests=20, request_rate=20.0),
    ],
    ids=lambda load: load.title,
)
def test_perf_analyzer_sends_every_kind_of_load(slow_target: Target, perf_analyzer: PerfAnalyzer, load: Load) -> None:
    came = Driver(perf_analyzer).measure(slow_target, load)
    assert came.generator == "perf_analyzer"
    assert came.latency_ms[50] >= 1000 * PLANTED_SECONDS
    assert came.steps["noop_slow"].images >= load.requests * load.batch


def test_a_planted_delay_is_found_in_the_step_where_it_was_planted(slow_target: Target) -> None:
    came = Driver(None).measure(slow_target, Load(requests=6, concurrency=1))
    (name,) = came.steps
    step = came.steps[name]
    assert (name, step.requests, step.images) == ("noop_slow", 7, 7)  # one connects
    assert step.compute_infer_ms >= 1000 * PLANTED_SECONDS
    assert step.compute_infer_ms > step.queue_ms + step.compute_input_ms + step.compute_output_ms
    assert came.latency_ms[50] >= step.compute_infer_ms


def test_requests_that_wait_for_others_wait_in_the_queue(slow_target: Target) -> None:
    load = Load(requests=6, concurrency=1)
    alone = Driver(None).measure(slow_target, load).steps["noop_slow"]
    among = Driver(None).measure(slow_target, Load(requests=24, concurrency=8)).steps["noop_slow"]
    assert among.queue_ms > alone.queue_ms
    assert among.images_an_execution > alone.images_an_execution == 1


def test_steps_are_means_of_what_came_in_between() -> None:
    before = {"one": Counts(10, 8, 10, (0, 0, 1_000_000, 0)), "idle": Counts(3, 3, 3, (9, 9, 9, 9))}
    after = {
        "one": Counts(14, 10, 18, (4_000_000, 8_000_000, 13_000_000, 0)),
        "idle": before["idle"],
        "new": Counts(1, 1, 1, (0, 0, 5_000_000, 0)),
    }
    steps = steps_between(before, after)
    assert set(steps) == {"one", "new"}
    one = steps["one"]
    assert (one.requests, one.executions, one.images, one.images_an_execution) == (4, 2, 8, 4.0)
    assert (one.queue_ms, one.compute_input_ms, one.compute_infer_ms, one.compute_output_ms) == (1.0, 2.0, 3.0, 0.0)
    assert steps["new"].compute_infer_ms == 5.0


def test_so_many_requests_are_in_flight() -> None:
    flying, most = 0, 0

    async def send() -> None:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.001)
        flying -= 1

    trace = asyncio.run(closed_loop(send, concurrency=3, requests=10))
    assert most == 3
    assert len(trace.latencies_seconds) == 10
    assert trace.latencies_seconds.min() >= 0.001


def test_latencies_begin_when_requests_are_due() -> None:
    async def send() -> None:
        time.sleep(0.02)  # holds the generator up, so that the next ones go out late

    trace = asyncio.run(open_loop(send, [0.0, 0.0, 0.0]))
    assert np.all(np.diff(trace.latencies_seconds) >= 0.02)


def test_the_built_in_generator_says_what_it_cannot_send(slow_target: Target) -> None:
    for load in (Load(requests=1, concurrency=1, protocol="http"), Load(requests=1, concurrency=1, shared_memory=True)):
        with pytest.raises(MeasurementError, match="needs perf_analyzer"):
            run_load(load, url=slow_target.grpc_url, model=slow_target.model, payloads=PAYLOADS)


def test_a_model_that_is_not_there_is_told(slow_target: Target, perf_analyzer: PerfAnalyzer) -> None:
    nobody = Target(grpc_url=slow_target.grpc_url, http_url="", model="unheard_of", payloads=PAYLOADS)
    for driver in (Driver(None), Driver(perf_analyzer)):
        with pytest.raises(MeasurementError, match=r"unheard_of|no report"):
            driver.measure(nobody, Load(requests=1, concurrency=1))


def test_a_sweep_goes_on_without_what_fails_and_says_who_sent_it(slow_target: Target) -> None:
    loads = [Load(requests=2, concurrency=1), Load(requests=2, concurrency=1, protocol="http")]
    first, second = (
        each.as_json() for each in sweep(Driver(None), slow_target, loads, rounds=3, tell=lambda line: None)
    )
    assert len(first["runs"]) == 3
    assert first["generator"] == "asyncio"
    assert first["images_per_second"] in first["runs"]
    assert first["steps"]["noop_slow"]["requests"] == 3
    assert "needs perf_analyzer" in second["failure"]


def test_what_is_swept() -> None:
    loads = ladder(requests=40, concurrencies=(1, 4, 16), batches=(8,))
    assert [load.title for load in loads] == [
        "grpc, 1 in flight",
        "grpc, 4 in flight",
        "grpc, 16 in flight",
        "grpc, 2 in flight, 8 images a request",
        "http, 4 in flight",
        "grpc, 4 in flight, shared memory",
        "http, 4 in flight, shared memory",
    ]
    random = rates(requests=40, capacity=100.0, shares=(0.2, 0.8))
    assert [(load.request_rate, load.requests) for load in random] == [(20.0, 40), (80.0, 80)]


def test_a_given_program_that_does_not_run_is_no_reason_to_take_another(tmp_path: Path) -> None:
    program = tmp_path / "perf_analyzer"
    program.write_text("#!/bin/sh\necho no libraries >&2\nexit 127\n")
    program.chmod(0o755)
    with pytest.raises(MeasurementError, match="ended with 127: no libraries"):
        choose_driver(program, Workshop(tmp_path / "work", lambda line: None))


def test_without_perf_analyzer_the_generator_takes_its_place_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "perf_analyzer"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    driver = choose_driver(None, Workshop(tmp_path / "work", lambda line: None))
    assert driver.program is None
    assert "built-in asyncio generator" in driver.note


def test_clients_of_a_crowd_share_evenly(server: EmbeddedServer, slow_target: Target) -> None:
    images = sorted(BUNDLED_FOLDER.glob("*.jpg"))[:2]
    with Crowd(server.grpc_url, slow_target.model, images, clients=3, images_each=4) as crowd:
        came = crowd.one_pass()
    assert crowd.name == "3 clients"
    assert came.images == 12
    assert came.seconds >= 4 * PLANTED_SECONDS
    assert 0 < came.details[FAIRNESS] <= 1


def test_a_single_answer_is_no_throughput(slow_target: Target) -> None:
    with pytest.raises(InvalidOptionError, match="images_each is 1; it must be at least 2"):
        Crowd(slow_target.grpc_url, slow_target.model, [Path("a.jpg")], clients=3, images_each=1)
