"""What is sent to a server, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from sightline.errors import InvalidOptionError
from sightline_bench.load.server_statistics import Step

Protocol = Literal["grpc", "http"]
PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True, kw_only=True)
class Load:
    """Requests, either so many at a time or so many a second.

    Attributes:
        requests: how many in all; perf_analyzer sends for three windows of a second or two, however many that are.
        concurrency: requests in flight, the next going out when one is answered; 0 where there is a rate.
        request_rate: requests a second on average, at random moments (Poisson); 0 where there is a concurrency.
        batch: images in a request.
        protocol: of the requests.
        shared_memory: tensors travel through system shared memory.

    Raises:
        InvalidOptionError: it has both a concurrency and a rate, or neither, a count is not positive, or there are
            fewer requests than are to be in flight.
    """

    requests: int
    concurrency: int = 0
    request_rate: float = 0.0
    batch: int = 1
    protocol: Protocol = "grpc"
    shared_memory: bool = False

    def __post_init__(self) -> None:
        if self.requests < 1 or self.batch < 1 or self.concurrency < 0 or self.request_rate < 0:
            raise InvalidOptionError(f"{self} is no load: requests and batch are at least 1, nothing is negative")
        if self.concurrency > self.requests:
            raise InvalidOptionError(f"{self} is no load: so few requests are never {self.concurrency} at a time")
        if bool(self.concurrency) == bool(self.request_rate):
            raise InvalidOptionError(f"{self} is no load: it needs a concurrency or a request_rate, and not both")

    @property
    def title(self) -> str:
        """As `grpc, 4 in flight, 8 images a request, shared memory`."""
        how = f"{self.concurrency} in flight" if self.concurrency else f"{self.request_rate:.3g} requests/s (Poisson)"
        batch = f"{self.batch} images a request" if self.batch > 1 else ""
        return ", ".join(filter(None, [self.protocol, how, batch, "shared memory" if self.shared_memory else ""]))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What came of a load.

    Attributes:
        load: what was sent.
        generator: which program sent it.
        images_per_second: throughput.
        latency_ms: of whole requests, milliseconds by percentile.
        steps: the server's own statistics of each model meanwhile, by name.
        note: what the generator had to say, such as that it was late.
    """

    load: Load
    generator: str
    images_per_second: float
    latency_ms: Mapping[int, float]
    steps: Mapping[str, Step] = field(default_factory=dict)
    note: str = ""

    @property
    def seconds(self) -> float:
        """That the load took, as far as throughput tells."""
        return self.load.requests * self.load.batch / self.images_per_second

    def as_json(self) -> dict[str, Any]:
        """A row of a sweep."""
        return {
            **asdict(self.load),
            "title": self.load.title,
            "generator": self.generator,
            "images_per_second": self.images_per_second,
            "latency_ms": {f"p{part}": value for part, value in self.latency_ms.items()},
            "steps": {model: step.as_json() for model, step in self.steps.items()},
            "note": self.note,
        }
