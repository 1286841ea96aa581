"""Settings that `sightline tune` gave a model of a repository."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format

from .config import CONFIG_FILE, parse
from .schedule import Schedule, kept_schedule, usual_schedule

_WORDS = {
    "instances": "instances {}",
    "threads": "threads {}",
    "max_queue_delay_microseconds": "queue delay {} µs",
    "preferred_batch_sizes": "preferred batches {}",
}


def standing_schedule(repository: Path, model: str) -> Schedule:
    """What a model of the repository has when it is exported now: the usual, and what it was tuned to before.

    Raises:
        InvalidOptionError: what stands there is out of range.
    """
    try:
        config = parse((repository / model / CONFIG_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, text_format.ParseError):
        # It is not there, or Triton reads it as little: nothing of it is to be kept.
        return usual_schedule(model)
    return kept_schedule(config)


def described(model: str, schedule: Schedule) -> str:
    """What a model's schedule has of its own, for people; empty where it is the usual one."""
    return ", ".join(words_of(name, schedule) for name in schedule.differing(usual_schedule(model)))


def words_of(name: str, schedule: Schedule) -> str:
    """A setting with its value, for people."""
    value = getattr(schedule, name)
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or "none"
    return _WORDS[name].format("shared evenly" if value is None else value)
