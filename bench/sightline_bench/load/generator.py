"""A load generator in Python, for where perf_analyzer cannot run, and where every single latency is needed.

It keeps so many gRPC requests in flight, or sends them at moments that were drawn before. In the latter case a latency
begins when the request was due, not when it went out: a generator that falls behind does not hide that.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

from sightline.contract import DEFAULT_SCORE_THRESHOLD, ENCODED, SCORE_THRESHOLD
from sightline.errors import MeasurementError
from sightline_bench.load.loads import PERCENTILES, Load, Measured
from sightline_bench.load.payloads import padded

NAME = "asyncio"
_SEED = 0
Send = Callable[[], Awaitable[None]]
"""One request; done when it is answered."""


@dataclass(frozen=True)
class Trace:
    """What happened to each request.

    Attributes:
        latencies_seconds: of each request, in the order of their beginnings.
        seconds: from the first beginning to the last answer.
    """

    latencies_seconds: npt.NDArray[np.float64]
    seconds: float

    def latency_ms(self, percentile: float) -> float:
        """Milliseconds within which so many per cent of the requests were answered."""
        return 1000 * float(np.percentile(self.latencies_seconds, percentile))


def poisson_arrivals(rate: float, count: int, *, seed: int) -> npt.NDArray[np.float64]:
    """Seconds from now at which `count` requests are due, `rate` a second on average, independently of each other."""
    return np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count))


async def closed_loop(send: Send, *, concurrency: int, requests: int) -> Trace:
    """So many requests in flight at any time."""
    numbers = iter(range(requests))
    latencies = np.zeros(requests)

    async def work() -> None:
        for number in numbers:
            begun = time.perf_counter()
            await send()
            latencies[number] = time.perf_counter() - begun

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(concurrency)))
    return Trace(latencies, time.perf_counter() - begun)


async def open_loop(send: Send, arrivals_seconds: Sequence[float] | npt.NDArray[np.float64]) -> Trace:
    """Requests at these moments, however many are under way by then; latencies begin at the moments themselves."""
    latencies = np.zeros(len(arrivals_seconds))
    begun = time.perf_counter()

    async def ask(number: int, due: float) -> None:
        await send()
        latencies[number] = time.perf_counter() - due

    tasks = []
    for number, arrival in enumerate(arrivals_seconds):
        due = begun + float(arrival)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(number, due)))
    await asyncio.gather(*tasks)
    return Trace(latencies, time.perf_counter() - begun - float(arrivals_seconds[0]))


def run_load(load: Load, *, url: str, model: str, payloads: Sequence[bytes], seed: int = _SEED) -> Trace:
    """Send a load; `url` is `HOST:PORT` of the gRPC service, `seed` chooses the moments of a Poisson load.

    Raises:
        MeasurementError: a request failed, or the load is one that only perf_analyzer can send.
    """
    if load.protocol != "grpc" or load.shared_memory:
        raise MeasurementError(
            f"the built-in generator sends over gRPC without shared memory only, not {load.title}: that needs "
            "perf_analyzer"
        )
    try:
        return asyncio.run(_run(load, url, model, padded(payloads, batch=load.batch), seed))
    except InferenceServerException as error:
        raise MeasurementError(f"{model} at {url} failed under {load.title}: {error}") from error


async def _run(load: Load, url: str, model: str, payloads: Sequence[bytes], seed: int) -> Trace:
    supply = itertools.cycle([_inputs(payload, load.batch) for payload in payloads])
    async with tritonclient.grpc.aio.InferenceServerClient(url) as client:

        async def send() -> None:
            await client.infer(model, next(supply))

        await send()  # connects
        if load.concurrency:
            return await closed_loop(send, concurrency=load.concurrency, requests=load.requests)
        return await open_loop(send, poisson_arrivals(load.request_rate, load.requests, seed=seed))


def _inputs(payload: bytes, batch: int) -> list[tritonclient.grpc.InferInput]:
    """A request of the same image `batch` times, as perf_analyzer makes it."""
    values = (
        (ENCODED, np.tile(np.frombuffer(payload, np.uint8), (batch, 1))),
        (SCORE_THRESHOLD, np.full((batch, 1), DEFAULT_SCORE_THRESHOLD, np.float32)),
    )
    inputs = []
    for spec, value in values:
        tensor = tritonclient.grpc.InferInput(spec.name, list(value.shape), spec.datatype)
        tensor.set_data_from_numpy(value)
        inputs.append(tensor)
    return inputs


def measure(load: Load, *, url: str, model: str, payloads: Sequence[bytes]) -> Measured:
    """As `PerfAnalyzer.measure`.

    Raises:
        MeasurementError: see `run_load`.
    """
    trace = run_load(load, url=url, model=model, payloads=payloads)
    return Measured(
        load=load,
        generator=NAME,
        images_per_second=load.requests * load.batch / trace.seconds,
        latency_ms={part: trace.latency_ms(part) for part in PERCENTILES},
    )
