"""The queue in the computer against what is known of such queues."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sightline.errors import InvalidOptionError
from sightline_bench.load.generator import poisson_arrivals
from sightline_bench.load.queue_model import Seconds, percentile_of_model, waits

COUNT = 200_000
RATE = 0.7


def mean_wait(services: Seconds, *, servers: int = 1, rate: float = RATE) -> float:
    return float(np.mean(waits(poisson_arrivals(rate, len(services), seed=1), services, servers=servers)))


def exponential() -> Seconds:
    return np.random.default_rng(2).exponential(1.0, COUNT)


def test_one_server_and_exponential_services_wait_as_is_known() -> None:
    assert mean_wait(exponential()) == pytest.approx(RATE / (1 - RATE), rel=0.05)


def test_one_server_and_constant_services_wait_half_as_long() -> None:
    assert mean_wait(np.ones(COUNT)) == pytest.approx(RATE / (2 * (1 - RATE)), rel=0.03)


def test_one_server_and_any_services_wait_as_pollaczek_and_khinchine_say() -> None:
    services = np.random.default_rng(3).choice([0.5, 0.5, 0.5, 2.5], COUNT)
    load = RATE * float(np.mean(services))
    expected = RATE * float(np.mean(services**2)) / (2 * (1 - load))
    assert mean_wait(services) == pytest.approx(expected, rel=0.05)


def test_several_servers_wait_as_erlang_says() -> None:
    servers, offered = 3, 3 * RATE
    queued = offered**servers / math.factorial(servers) / (1 - RATE)
    probability = queued / (queued + sum(offered**n / math.factorial(n) for n in range(servers)))
    expected = probability / (servers - offered)
    assert mean_wait(exponential(), servers=servers, rate=offered) == pytest.approx(expected, rel=0.05)


def test_every_wait_of_a_small_example() -> None:
    arrivals, services = np.array([0.0, 1.0, 2.0, 10.0]), np.array([4.0, 4.0, 4.0, 1.0])
    assert waits(arrivals, services, servers=1).tolist() == [0.0, 3.0, 6.0, 2.0]
    assert waits(arrivals, services, servers=2).tolist() == [0.0, 0.0, 2.0, 0.0]


def test_the_percentile_of_one_known_service_time_is_exact() -> None:
    arrivals = np.array([0.0, 1.0, 2.0])
    assert percentile_of_model(arrivals, [3.0], servers=1, percentile=100) == pytest.approx(7.0)
    assert percentile_of_model(arrivals, [3.0], servers=3, percentile=100) == pytest.approx(3.0)


@pytest.mark.parametrize(("servers", "services"), [(0, 2), (1, 3)])
def test_no_servers_and_odd_lengths_are_refused(servers: int, services: int) -> None:
    with pytest.raises(InvalidOptionError, match="at least one server"):
        waits(np.zeros(2), np.zeros(services), servers=servers)


def test_random_moments_have_their_rate_and_their_spread() -> None:
    gaps = np.diff(poisson_arrivals(25.0, COUNT, seed=4), prepend=0.0)
    assert float(np.mean(gaps)) == pytest.approx(1 / 25.0, rel=0.01)
    assert float(np.std(gaps)) == pytest.approx(1 / 25.0, rel=0.02)  # an exponential's, and only Poisson has those
    assert gaps.min() >= 0
    assert not np.array_equal(gaps, np.diff(poisson_arrivals(25.0, COUNT, seed=5), prepend=0.0))
