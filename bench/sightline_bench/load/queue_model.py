"""A queue in the computer: how late answers come where work arrives at random and nothing but waiting is lost.

First come, first served, by `servers` that each work on one request at a time. A request's wait is that of Kiefer and
Wolfowitz's recursion ("On the theory of queues with many servers", 1955): it begins when the server that is free first
is free, and for one server that is Lindley's. Arrivals at random moments (M) with exponential, constant or any service
times are M/M/k, M/D/k and M/G/k in Kendall's notation, and their known mean waits are what the tests compare with: for
one server that of Pollaczek and Khinchine, `rate * E[S^2] / (2 * (1 - rate * E[S]))`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sightline.errors import InvalidOptionError

Seconds = npt.NDArray[np.float64]
_DRAWS, _SEED = 200, 0


def waits(arrivals: Seconds, services: Seconds, *, servers: int) -> Seconds:
    """How long each request waits until its service begins.

    Args:
        arrivals: moments, ascending.
        services: how long each is worked on.
        servers: at least 1.

    Raises:
        InvalidOptionError: there is no server, or the lengths differ.
    """
    if servers < 1 or len(arrivals) != len(services):
        raise InvalidOptionError(
            f"{servers} servers, {len(arrivals)} arrivals, {len(services)} services; at least one server is needed, "
            "and as many services as arrivals"
        )
    free = [0.0] * servers
    waited = np.zeros(len(arrivals))
    for number, (arrival, service) in enumerate(zip(arrivals.tolist(), services.tolist(), strict=True)):
        begun = max(arrival, free[0])
        waited[number] = begun - arrival
        heapq.heapreplace(free, begun + service)
    return waited


def percentile_of_model(
    arrivals: Seconds,
    measured_services: Sequence[float] | Seconds,
    *,
    servers: int,
    percentile: float,
) -> float:
    """A percentile of the time from arrival to answer, in seconds, of a queue with these very arrivals.

    Service times are drawn from the measured ones, again and again; the median over the draws comes back. Taking the
    arrivals of the measurement leaves chance in them out of the comparison: a percentile of some hundred requests
    depends on them more than on anything else.

    Args:
        arrivals: moments, ascending.
        measured_services: service times to draw from.
        servers: that work at the same time.
        percentile: 0 to 100.
    """
    rng = np.random.default_rng(_SEED)
    found = []
    for _ in range(_DRAWS):
        services = rng.choice(np.asarray(measured_services, np.float64), len(arrivals))
        found.append(np.percentile(waits(arrivals, services, servers=servers) + services, percentile))
    return float(np.median(found))
