"""What is tuned, for whom, and how long."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sightline.errors import InvalidOptionError

Objective = Literal["throughput", "latency"]
OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
DEFAULT_MINUTES = 10.0
DEFAULT_CLIENTS = 4
MOST_CLIENTS = 256


@dataclass(frozen=True, kw_only=True)
class TuneOptions:
    """What is tuned, for whom, and how long.

    Attributes:
        repository: folder of models.
        model: the detector.
        objective: `throughput` is images a second of one client that streams; `latency` is the time within which
            95 % of the answers come to so many clients that each ask for one image at a time.
        clients: those clients; `throughput` does not use it.
        minutes: about how long to search. No comparison begins that would probably end later.
        images: folder of photos; None takes the pictures that come with Sightline.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    repository: Path
    model: str
    objective: Objective = "throughput"
    clients: int = DEFAULT_CLIENTS
    minutes: float = DEFAULT_MINUTES
    images: Path | None = None

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            raise InvalidOptionError(f"objective {self.objective!r} is not one of {', '.join(OBJECTIVES)}")
        if not 1 <= self.clients <= MOST_CLIENTS:
            raise InvalidOptionError(f"clients is {self.clients}; it must lie from 1 to {MOST_CLIENTS}")
        if not (self.minutes > 0 and math.isfinite(self.minutes)):
            raise InvalidOptionError(f"minutes is {self.minutes}; it must be more than 0, and finite")
