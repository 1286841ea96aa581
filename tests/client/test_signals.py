"""Commands that are told to stop end as they do after Ctrl-C, with a status that tells why."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import pytest

from sightline.cli._signals import sigterm_as_interrupt


def stop() -> None:
    signal.raise_signal(signal.SIGTERM)


def stop_and_report() -> None:
    """As `sightline detect` does."""
    with pytest.raises(KeyboardInterrupt):
        stop()
    sys.exit(130)


def stop_and_end_well() -> None:
    """As `sightline serve` does."""
    with pytest.raises(KeyboardInterrupt):
        stop()
    sys.exit(0)


@pytest.mark.parametrize(
    ("command", "status"),
    [(stop, 143), (stop_and_report, 143), (stop_and_end_well, 0), (lambda: sys.exit(2), 2), (sys.exit, None)],
)
def test_the_status_tells_why(command: Callable[[], None], status: int | None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end, sigterm_as_interrupt():
        command()
    assert end.value.code == status
    assert signal.getsignal(signal.SIGTERM) is before


def test_ctrl_c_is_left_alone() -> None:
    with pytest.raises(KeyboardInterrupt), sigterm_as_interrupt():
        signal.raise_signal(signal.SIGINT)
