"""What can be varied, and in which order the search goes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sightline._options import DEFAULT_BATCH_SIZE
from sightline_export.schedule import Schedule
from sightline_export.tuned import words_of

_DELAYS_MICROSECONDS = (0, 500, 2000, 5000)
_PREFERRED = ((), (4,), (8,), (4, 8))
_REQUESTS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Setup:
    """Settings of a served detector, and of the client that asks it.

    Attributes:
        schedules: of the models that compute, by name.
        batch_size: images in a request of the client that streams.
    """

    schedules: Mapping[str, Schedule]
    batch_size: int = DEFAULT_BATCH_SIZE

    def having(self, model: str, schedule: Schedule) -> Setup:
        """The same with another schedule of one model."""
        return replace(self, schedules={**self.schedules, model: schedule})

    def words(self, other: Setup) -> str:
        """What it has that the other has not, for people; empty where they are alike."""
        found = []
        for model, schedule in self.schedules.items():
            names = schedule.differing(other.schedules[model])
            if names:
                found.append(f"{model}: {', '.join(words_of(name, schedule) for name in names)}")
        if self.batch_size != other.batch_size:
            found.append(f"client: {self.batch_size} image{'s' * (self.batch_size > 1)} in a request")
        return "; ".join(found)


@dataclass(frozen=True)
class Axis:
    """One thing that is varied while everything else stays.

    Attributes:
        title: for people.
        values: makes the setups to compare with a setup, which may be among them.
        settled: False where it is of the client: then it is told, and not written.
    """

    title: str
    values: Callable[[Setup], Iterable[Setup]] = field(repr=False)
    settled: bool = True

    def challengers(self, champion: Setup) -> list[Setup]:
        """Those that differ from it, each once."""
        found: list[Setup] = []
        for setup in self.values(champion):
            if setup != champion and setup not in found:
                found.append(setup)
        return found


def axes(  # noqa: PLR0913 - each is a fact of its own, and is named
    preprocessing: str, network: str, *, cores: int, on_gpu: bool, largest: int, streams: bool
) -> list[Axis]:
    """All that pays to try, what changes most first.

    Args:
        preprocessing: name of the model that decodes.
        network: name of the model that runs the network.
        cores: to keep busy.
        on_gpu: whether the network computes on a GPU, where threads mean nothing, and more instances than usual
            could outgrow the memory that the server sets aside. On a CPU it computes picture by picture, whatever is
            batched.
        largest: images in the largest batch.
        streams: whether the client streams, so that its requests can have several images.
    """
    found = []
    if on_gpu:
        found.append(Axis("instances of the network", _each(network, [{"instances": 1}, {"instances": 2}])))
        found.append(Axis("how long the network waits", _each(network, _delays())))
        if largest > 1:
            found.append(Axis("batches that the network prefers", _each(network, _preferred(largest))))
    else:
        found.append(Axis("instances and threads of the network", _each(network, _splits(cores))))
        found.append(Axis("instances and threads of decoding", _each(preprocessing, _decoders(cores))))
    found.append(Axis("how long decoding waits", _each(preprocessing, _delays())))
    if streams and largest > 1:
        found.append(Axis("images in a request of the client", _requests(largest), settled=False))
    return found


def _each(model: str, changes: Sequence[Mapping[str, object]]) -> Callable[[Setup], Iterable[Setup]]:
    def values(setup: Setup) -> Iterable[Setup]:
        for change in changes:
            yield setup.having(model, replace(setup.schedules[model], **change))  # type: ignore[arg-type]

    return values


def _splits(cores: int) -> list[Mapping[str, object]]:
    """Every even split of the cores, and two instances that each take all of them."""
    counts = sorted({1, 2, *(n for n in (4, 8, 16, 32) if n < cores), min(cores, 64)})
    splits: list[Mapping[str, object]] = [{"instances": n, "threads": None} for n in counts if n <= max(2, cores)]
    return [*splits, {"instances": 2, "threads": cores}] if cores > 1 else splits


def _decoders(cores: int) -> list[Mapping[str, object]]:
    """It shares the cores with the network, so that fewer threads may be better."""
    threads = sorted({1, max(1, cores // 2)} - {cores})
    fewer: list[Mapping[str, object]] = [{"instances": 1, "threads": n} for n in threads]
    return [{"instances": 1, "threads": None}, *fewer, {"instances": 2, "threads": None}]


def _delays() -> list[Mapping[str, object]]:
    return [{"max_queue_delay_microseconds": delay} for delay in _DELAYS_MICROSECONDS]


def _preferred(largest: int) -> list[Mapping[str, object]]:
    return [{"preferred_batch_sizes": sizes} for sizes in _PREFERRED if all(size <= largest for size in sizes)]


def _requests(largest: int) -> Callable[[Setup], Iterable[Setup]]:
    def values(setup: Setup) -> Iterable[Setup]:
        return (replace(setup, batch_size=size) for size in _REQUESTS if size <= largest)

    return values
