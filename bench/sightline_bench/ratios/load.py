"""yolov8n under load: sweeps for the report, and how late answers come beside a queue in which they only wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightline.contract import network_name
from sightline_bench.load import generator
from sightline_bench.load.driver import Driver, Target, choose_driver, serve
from sightline_bench.load.generator import poisson_arrivals
from sightline_bench.load.loads import Load
from sightline_bench.load.payloads import paths_of
from sightline_bench.load.queue_model import percentile_of_model
from sightline_bench.load.sweep import Outcome, ladder, rates, sweep
from sightline_bench.material.exports import Exported, export_detector
from sightline_bench.measure.rounds import Ratio
from sightline_bench.ratios.registry import Findings, Group, Key, Setting
from sightline_export.config import CONFIG_FILE, parse

KEYS = (
    Key(
        name="p99_over_queue_model",
        title="p99 at 70 % Poisson load ÷ that of a simulated queue",
        target=1.3,
        better="lower",
    ),
)
_SHARE, _PERCENTILE = 0.7, 99
_SWEEP_ROUNDS = 2


def measure(setting: Setting, wanted: frozenset[str]) -> Findings:
    """The queue round by round, then the sweeps; one server for all."""
    weights = setting.find_weights("yolov8n")
    exported = export_detector(setting.workshop, weights, setting.fast_precision)
    driver = choose_driver(setting.perf_analyzer, setting.workshop)
    servers = instances(exported)
    with serve(exported.repository) as server:
        target = Target.at(server, exported.model, _payloads(setting))
        queue = [one_round(setting, target, servers, number) for number in range(setting.rounds)]
        section = {"driver_note": driver.note, "sweeps": _sweeps(setting, driver, target), "queue": queue}
    about = (
        f"{queue[0]['requests']} requests of one image at {_SHARE:.0%} of what the service times allow, sent by the "
        f"built-in generator, latencies from the moment that a request was due; M/G/{servers} with the service times "
        f"of {servers} in flight; yolov8n in {exported.precision}"
    )
    notes = "; ".join(filter(None, [weights.note, setting.precision_note, driver.note]))
    ratio = Ratio(tuple(each["p99_ms"] / each["model_p99_ms"] for each in queue))
    return Findings(figures={KEYS[0].name: KEYS[0].measured(ratio, about, notes)}, sections={"load": section})


def instances(exported: Exported) -> int:
    """How many requests are worked on at the same time: the network's instances."""
    file = exported.repository / network_name(exported.model) / CONFIG_FILE
    return sum(group.count for group in parse(file.read_text(encoding="utf-8")).instance_group) or 1


def one_round(setting: Setting, target: Target, servers: int, number: int) -> dict[str, Any]:
    """Service times, then Poisson arrivals, then the same arrivals in the model."""
    busy = Load(requests=setting.count(quick=30, full=100), concurrency=servers)
    services = _trace(target, busy).latencies_seconds
    rate = _SHARE * servers / float(np.mean(services))
    load = Load(requests=setting.count(quick=80, full=400), request_rate=rate)
    seed = number + 1
    trace = _trace(target, load, seed=seed)
    arrivals = poisson_arrivals(load.request_rate, load.requests, seed=seed)
    model = percentile_of_model(arrivals, services, servers=servers, percentile=_PERCENTILE)
    found = {
        "requests": load.requests,
        "servers": servers,
        "service_ms": 1000 * float(np.mean(services)),
        "request_rate": rate,
        "p50_ms": trace.latency_ms(50),
        "p99_ms": trace.latency_ms(_PERCENTILE),
        "model_p99_ms": 1000 * model,
    }
    setting.tell(
        f"queue, round {number + 1}: service {found['service_ms']:.1f} ms, {rate:.2f} requests/s, p99 "
        f"{found['p99_ms']:.1f} ms, of the model {found['model_p99_ms']:.1f} ms"
    )
    return found


def _trace(target: Target, load: Load, *, seed: int = 0) -> generator.Trace:
    return generator.run_load(load, url=target.grpc_url, model=target.model, payloads=target.payloads, seed=seed)


def _payloads(setting: Setting) -> list[bytes]:
    return [path.read_bytes() for path in paths_of(setting.photos(quick=16, full=64))]


def _sweeps(setting: Setting, driver: Driver, target: Target) -> list[dict[str, Any]]:
    """In flight, batch, protocol and shared memory; then Poisson rates as shares of the best of those.

    A quick run has no larger batches and no rates: perf_analyzer takes ten seconds for each of those rows.
    """
    rounds = 1 if setting.quick else _SWEEP_ROUNDS
    requests = setting.count(quick=40, full=96)
    concurrencies: Sequence[int] = (1, 8) if setting.quick else (1, 2, 4, 8, 16, 64)
    batches: Sequence[int] = () if setting.quick else (4, 16)
    loads = ladder(requests=requests, concurrencies=concurrencies, batches=batches)
    outcomes = sweep(driver, target, loads, rounds=rounds, tell=setting.tell)
    shares: Sequence[float] = () if setting.quick else (0.5, 0.7, 0.9)
    if capacity := _capacity(outcomes):
        random = rates(requests=requests, capacity=capacity, shares=shares)
        outcomes += sweep(driver, target, random, rounds=rounds, tell=setting.tell)
    return [outcome.as_json() for outcome in outcomes]


def _capacity(outcomes: Sequence[Outcome]) -> float:
    """Images a second at best, of requests with one image; 0 where nothing could be measured."""
    runs = [run for outcome in outcomes if outcome.load.batch == 1 for run in outcome.runs]
    return max((run.images_per_second for run in runs), default=0.0)


GROUP = Group(name="load", keys=KEYS, measure=measure)
