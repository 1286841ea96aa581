"""What a command does when it is told to stop."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_TERMINATED = 128 + signal.SIGTERM
"""As shells tell of programs that a signal ended."""


@contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """SIGTERM ends what is inside as Ctrl-C does, by a KeyboardInterrupt, so that nothing temporary is left behind.

    What then exits with a failure, as interrupted commands do, exits with `EXIT_TERMINATED` instead.
    """
    terminated = False

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except (SystemExit, KeyboardInterrupt) as end:
        if terminated and not (isinstance(end, SystemExit) and end.code in (0, None)):
            sys.exit(EXIT_TERMINATED)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
