"""What is profiled, and how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from sightline.errors import InvalidOptionError
from sightline_bench.measure.rounds import LEAST_ROUNDS, check_rounds

BATCHES = (1, 2, 4, 8, 16, 32, 64, 100)
MOST_IN_BATCH = 1000
FORMATS = ("jsonl", "yolo", "annotated")
"""What the profile of a served picture can write."""


@dataclass(frozen=True, kw_only=True)
class ProfileOptions:
    """What is profiled, and how long.

    Attributes:
        repository: folder of models.
        model: the detector.
        beside: other detectors of the repository that are measured in the same turns: another precision or size.
        images: folder of photos; None takes the pictures that come with Sightline.
        batches: images in a batch of the sweep, rising.
        batch_seconds: the sweep does not begin another batch size after so long.
        memory_share: of the memory that is free, what a batch of the sweep may be expected to need.
        rounds: turns of every contestant.
        runs: of a network in one turn.
        layer_runs: of a network for its layers' times.
        served_images: pictures that go through the server one by one; the stream has twice as many.
        formats: what is written of each.
        trtexec_profile: a file that `trtexec --exportProfile` wrote, of a plan of this detector.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    repository: Path
    model: str
    beside: tuple[str, ...] = ()
    images: Path | None = None
    batches: tuple[int, ...] = BATCHES
    batch_seconds: float = 120.0
    memory_share: float = 0.5
    rounds: int = 5
    runs: int = 5
    layer_runs: int = 20
    served_images: int = 60
    formats: tuple[str, ...] = FORMATS[:1]
    trtexec_profile: Path | None = None

    def __post_init__(self) -> None:
        check_rounds(self.rounds)
        for name in ("runs", "layer_runs", "served_images"):
            if getattr(self, name) < 1:
                raise InvalidOptionError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if list(self.batches) != sorted(set(self.batches)) or not self.batches or self.batches[0] < 1:
            raise InvalidOptionError(f"batches are {self.batches}; give rising numbers from 1 on, such as {BATCHES}")
        if self.batches[-1] > MOST_IN_BATCH:
            raise InvalidOptionError(f"a batch of {self.batches[-1]} is more than the largest, {MOST_IN_BATCH}")
        if not self.batch_seconds > 0:
            raise InvalidOptionError(f"batch_seconds is {self.batch_seconds}; it must be more than 0")
        if not 0 < self.memory_share <= 1:
            raise InvalidOptionError(f"memory_share is {self.memory_share}; it must lie above 0 and up to 1")
        unknown = [name for name in self.formats if name not in FORMATS]
        if unknown or not self.formats:
            raise InvalidOptionError(f"format {', '.join(unknown) or 'none'} is not one of {', '.join(FORMATS)}")
        if self.model in self.beside:
            raise InvalidOptionError(f"{self.model} cannot stand beside itself")

    def quick(self) -> ProfileOptions:
        """The same in about a quarter of the time, with fewer turns and a shorter sweep."""
        return replace(
            self,
            batches=tuple(size for size in self.batches if size <= 16) or self.batches[:1],
            batch_seconds=min(self.batch_seconds, 20.0),
            rounds=LEAST_ROUNDS,
            runs=3,
            layer_runs=8,
            served_images=24,
        )
