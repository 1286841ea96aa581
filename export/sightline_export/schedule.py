"""How Triton schedules a model: its instances, their threads, and how requests are joined to batches.

Every model begins with the contract's schedule. `sightline tune` gives it what is faster on a machine, and says in
`contract.TUNED_PARAMETER` which settings those are, so that an export of the same name keeps them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

from tritonclient.grpc import model_config_pb2 as pb

from sightline import contract
from sightline.errors import InvalidOptionError

MOST_INSTANCES = 64
MOST_THREADS = 1024
MOST_DELAY_MICROSECONDS = 1_000_000


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidOptionError(f"{name} is {value}; it must lie from {least} to {most}")


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Of one model that computes.

    Attributes:
        instances: processes that run it, on each GPU where there are any; 1 to 64.
        threads: of each instance on a CPU, 1 to 1024; None shares the cores evenly among the instances.
        max_queue_delay_microseconds: how long a request waits for others to share its batch, 0 to a second.
        preferred_batch_sizes: images in a batch that is sent off at once, rising; empty for the largest only.

    Raises:
        InvalidOptionError: a value is out of range.
    """

    instances: int
    threads: int | None = None
    max_queue_delay_microseconds: int = contract.MAX_QUEUE_DELAY_MICROSECONDS
    preferred_batch_sizes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        _check("instances", self.instances, 1, MOST_INSTANCES)
        if self.threads is not None:
            _check("threads", self.threads, 1, MOST_THREADS)
        _check("max_queue_delay_microseconds", self.max_queue_delay_microseconds, 0, MOST_DELAY_MICROSECONDS)
        sizes = self.preferred_batch_sizes
        if list(sizes) != sorted(set(sizes)) or any(size < 1 for size in sizes):
            raise InvalidOptionError(f"preferred_batch_sizes are {sizes}; give rising numbers from 1 on, such as 4, 8")

    def differing(self, other: Schedule) -> tuple[str, ...]:
        """Names of the settings in which the two differ."""
        return tuple(each.name for each in fields(self) if getattr(self, each.name) != getattr(other, each.name))


NETWORK_SCHEDULE = Schedule(instances=contract.NETWORK_INSTANCES)
PREPROCESSING_SCHEDULE = Schedule(instances=contract.PREPROCESSING_INSTANCES)


def usual_schedule(model: str) -> Schedule:
    """What the model of that name begins with."""
    return NETWORK_SCHEDULE if model.endswith(contract.NETWORK_SUFFIX) else PREPROCESSING_SCHEDULE


def set_schedule(config: pb.ModelConfig, schedule: Schedule) -> None:
    """Write it into a configuration that has its name, in place of the schedule that may stand there."""
    del config.instance_group[:]
    # No kind: Triton then takes the GPU where there is one and the CPU elsewhere.
    config.instance_group.add(count=schedule.instances)
    batching = config.dynamic_batching
    batching.max_queue_delay_microseconds = schedule.max_queue_delay_microseconds
    batching.preferred_batch_size[:] = schedule.preferred_batch_sizes
    # The policy is stated and sets no bound, on purpose. With a queue size, a timeout or an override of it, Triton
    # stops fetching ahead, and a request that comes while every instance is busy can sleep for its 500 ms poll
    # interval. Waiting is bounded by the client instead: few requests in flight each, and a deadline that cancels.
    batching.default_queue_policy.SetInParent()
    own = schedule.differing(usual_schedule(config.name))
    _set_parameter(config, contract.THREADS_PARAMETER, str(schedule.threads) if schedule.threads else "")
    _set_parameter(config, contract.TUNED_PARAMETER, ",".join(own))


def read_schedule(config: pb.ModelConfig) -> Schedule:
    """What stands in a configuration, whoever wrote it.

    Raises:
        InvalidOptionError: a value is out of range.
    """
    batching = config.dynamic_batching
    threads = config.parameters[contract.THREADS_PARAMETER].string_value if _has_threads(config) else ""
    if threads and not (threads.isascii() and threads.isdecimal()):
        raise InvalidOptionError(
            f"parameter {contract.THREADS_PARAMETER!r} of {config.name} is {threads!r}; write a whole number from 1 on"
        )
    return Schedule(
        instances=sum(group.count or 1 for group in config.instance_group) or usual_schedule(config.name).instances,
        threads=int(threads) if threads else None,
        max_queue_delay_microseconds=batching.max_queue_delay_microseconds,
        preferred_batch_sizes=tuple(batching.preferred_batch_size),
    )


def kept_schedule(config: pb.ModelConfig) -> Schedule:
    """The schedule that a model has when it is exported again: the usual one, with the settings that are its own.

    Raises:
        InvalidOptionError: a value is out of range, or what is said to be its own is no setting.
    """
    usual = usual_schedule(config.name)
    if contract.TUNED_PARAMETER not in config.parameters:
        return usual
    own = config.parameters[contract.TUNED_PARAMETER].string_value.split(",")
    _check_settings(config.name, own)
    there = read_schedule(config)
    return replace(usual, **{name: getattr(there, name) for name in own})


def _check_settings(model: str, names: Iterable[str]) -> None:
    known = [each.name for each in fields(Schedule)]
    if unknown := [name for name in names if name not in known]:
        raise InvalidOptionError(
            f"parameter {contract.TUNED_PARAMETER!r} of {model} names {', '.join(unknown)}; settings are "
            f"{', '.join(known)}"
        )


def _has_threads(config: pb.ModelConfig) -> bool:
    return contract.THREADS_PARAMETER in config.parameters


def _set_parameter(config: pb.ModelConfig, name: str, value: str) -> None:
    """An empty value removes it."""
    if value:
        config.parameters[name].string_value = value
    elif name in config.parameters:
        del config.parameters[name]
