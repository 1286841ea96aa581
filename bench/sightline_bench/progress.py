"""How long a run has taken, and how long it will."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sightline.writers.files import write_whole
from sightline_bench.pages.units import duration

_GUESS_SECONDS = {True: 40.0, False: 200.0}
"""Of a group that was never measured here, in a quick run and in a full one."""


class Progress:
    """Prints lines with the time since it was made, and with that of the whole run.

    What a group will take is what it took in the last such run, which a file remembers, or else a guess; both are
    corrected by how long the groups took that are done.

    Args:
        groups: that will be measured.
        quick: whether this is a quick run.
        file: which remembers; need not exist.
        write: prints a line.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        groups: Sequence[str],
        *,
        quick: bool,
        file: Path,
        write: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._write, self._clock = file, write, clock
        self._kind = "quick" if quick else "full"
        self._remembered = _read(file)
        last = self._remembered.get(self._kind, {})
        self._left = {group: last.get(group, _GUESS_SECONDS[quick]) for group in groups}
        self._expected_of_done = self._seconds_of_done = 0.0
        self._began = self._group_began = clock()

    @property
    def seconds(self) -> float:
        """Since it was made."""
        return self._clock() - self._began

    @property
    def expected_seconds(self) -> float:
        """Of the whole run, from its beginning; never less than what has passed."""
        return self._expect()[0]

    def _expect(self) -> tuple[float, bool]:
        """`expected_seconds`, and whether the group that is measured has taken longer than was expected of it."""
        pace = self._seconds_of_done / self._expected_of_done if self._expected_of_done else 1.0
        current, *later = [pace * each for each in self._left.values()] or [0.0]
        taken = self._clock() - self._group_began
        return (self._group_began - self._began) + max(current, taken) + sum(later), taken > current

    def tell(self, line: str) -> None:
        """Print a line with the times before it."""
        expected, late = self._expect()
        self._write(f"[{duration(self.seconds)} of {'more than' if late else 'about'} {duration(expected)}] {line}")

    def done(self, group: str, *, remember: bool) -> float:
        """The group is measured: the seconds since the one before it was.

        Args:
            group: the first of those that are left.
            remember: whether the next run may go by its time, as all of its figures were measured.

        Raises:
            OutputError: the file cannot be written.
        """
        now = self._clock()
        taken, self._group_began = now - self._group_began, now
        self._expected_of_done += self._left.pop(group)
        self._seconds_of_done += taken
        if remember:
            self._remembered.setdefault(self._kind, {})[group] = round(taken, 1)
            write_whole(self._file, json.dumps(self._remembered, indent=1).encode())
        return taken


def _read(file: Path) -> dict[str, dict[str, float]]:
    """What the file remembers; nothing where it is missing or is no such file, since guesses do as well."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {
            kind: {group: float(taken) for group, taken in seconds.items()}
            for kind, seconds in content.items()
            if isinstance(seconds, Mapping)
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
