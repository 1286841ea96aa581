"""A program that is started once and then asked for passes; bench/baselines/_turns.py is its side of the talk."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sightline.errors import MeasurementError
from sightline_bench.material.photos import Photos
from sightline_bench.measure.rounds import Pass
from sightline_bench.measure.usage import (
    Life,
    Peaks,
    descendants,
    lives,
    outlive,
    process_name,
    sampled,
    seconds_by_process,
    tree,
    tree_seconds,
)
from sightline_server.options import STOP_TIMEOUT_SECONDS

_LOADING_SECONDS = 600.0
_PASS_SECONDS = 1800.0
_ENDING_SECONDS = 30.0
_ABORTING_SECONDS = 2.0
"""Patience with one that may be in the midst of a pass that nobody wants any more."""
_WARM_UP_IMAGES = 32
"""As many as a client has on their way by default."""
_ORPHAN_SECONDS = STOP_TIMEOUT_SECONDS + 5.0
"""A server that has lost its owner takes its time to stop."""
_SHOWN_LINES, _SHOWN_CHARACTERS = 6, 200
Settings = Mapping[str, int]
"""Options that are varied, such as threads."""
_OWN_FIELDS = ("images", "seconds", "found")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A contestant that is not started yet.

    Attributes:
        name: unique in its race.
        title: what it is, for people.
        script: the script's file name.
        command: what to run.
        images: how many it works on in each pass.
        settings: what was chosen for it, such as threads, to be shown.
        environment: variables besides this process's own.
    """

    name: str
    title: str
    script: str
    command: tuple[str, ...]
    images: int
    settings: Settings = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)

    def having(self, **settings: int) -> Recipe:
        """The same with these options; a name stands there as on the command line, without its dashes."""
        words = [word for option, value in settings.items() for word in (f"--{option}", str(value))]
        return replace(self, command=(*self.command, *words), settings={**self.settings, **settings})

    def on(self, photos: Photos) -> Recipe:
        """The same over other pictures; the last of two options counts."""
        command = (*self.command, "--images", str(photos.listing))
        return replace(self, command=command, images=photos.count)


@dataclass(frozen=True)
class ProcessUse:
    """What one process of a contestant used.

    Attributes:
        name: what it is, for people.
        cpu_seconds: in all passes but the first, which is not timed.
        peak_memory_bytes: highest proportional set size in that first pass; 0 where it did not live then.
    """

    name: str
    cpu_seconds: float
    peak_memory_bytes: int


class Program:
    """A contestant whose processor time and memory are those of its process and all below it.

    Use it as a context manager. It is started by the constructor, so that several can load at the same time.

    Args:
        recipe: what to run.
        loading_seconds: longest wait until it is ready.
        pass_seconds: longest wait for a pass.
        ending_seconds: longest wait for its end, when it is not needed any more.
        orphan_seconds: longest wait for the end of what it has started and left behind.

    Attributes:
        peaks: memory; None before `warm_up`.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        loading_seconds: float = _LOADING_SECONDS,
        pass_seconds: float = _PASS_SECONDS,
        ending_seconds: float = _ENDING_SECONDS,
        orphan_seconds: float = _ORPHAN_SECONDS,
    ) -> None:
        self.recipe = recipe
        self.peaks: Peaks | None = None
        self._pass_seconds = pass_seconds
        self._ending_seconds = ending_seconds
        self._orphan_seconds = orphan_seconds
        self._deadline = time.monotonic() + loading_seconds
        self._unread = b""
        self._below: list[Life] = []
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the program
        self._process = subprocess.Popen(
            list(recipe.command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, **recipe.environment},
            bufsize=0,
            start_new_session=True,  # Ctrl-C reaches this process, which then ends it
        )

    def __enter__(self) -> Program:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.close(self._ending_seconds if kind is None else min(self._ending_seconds, _ABORTING_SECONDS))

    @property
    def name(self) -> str:
        """Unique in its race."""
        return self.recipe.name

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Until it has loaded.

        Raises:
            MeasurementError: it ended, printed something else, or was not ready in time.
        """
        answer = self._answer(self._deadline, "to load")
        if answer.get("ready") is not True:
            raise MeasurementError(f"{self.name} said {json.dumps(answer)} where it ought to say that it is ready")

    def warm_up(self) -> Peaks:
        """A pass that is not timed, over at most `_WARM_UP_IMAGES` images, in which memory is watched."""
        with sampled(lambda: tree(self._process.pid)) as peaks:
            self._ask(min(self.recipe.images, _WARM_UP_IMAGES))
        self.peaks = peaks
        self._spent = seconds_by_process(self._process.pid)
        return peaks

    def processes(self) -> list[ProcessUse]:
        """What each process that runs now has used since it was warmed up."""
        assert self.peaks is not None
        return [
            ProcessUse(
                name=process_name(pid),
                cpu_seconds=seconds - self._spent.get(pid, 0.0),
                peak_memory_bytes=self.peaks.processes[pid],
            )
            for pid, seconds in seconds_by_process(self._process.pid).items()
        ]

    def one_pass(self) -> Pass:
        """Go over its images once.

        Raises:
            MeasurementError: it ended, printed something else, or took too long.
        """
        before = tree_seconds(self._process.pid)
        answer = self._ask(self.recipe.images)
        spent = tree_seconds(self._process.pid) - before
        try:
            return _read_pass(answer, self.recipe.images, spent)
        except (KeyError, TypeError, ValueError) as error:
            raise MeasurementError(f"{self.name} answered {json.dumps(answer)}, which is no pass: {error!r}") from error

    def let_go(self) -> None:
        """Let it end, without waiting for that: several can do so at the same time."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._below = lives(descendants(self._process.pid))
            self._process.stdin.close()

    def close(self, patience_seconds: float) -> None:
        """Let it end, and end what is then left of it and of all that it started.

        What left its session, such as the server that it embeds, sees that it is gone and ends by itself, in order.
        """
        self.let_go()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_seconds)
        with contextlib.suppress(ProcessLookupError):  # nobody is left
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        outlive(self._below, self._orphan_seconds)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()

    def _ask(self, images: int) -> dict[str, Any]:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{images}\n".encode())
        except BrokenPipeError as error:
            raise self._ended("between its passes") from error
        return self._answer(time.monotonic() + self._pass_seconds, "for a pass")

    def _answer(self, deadline: float, what: str) -> dict[str, Any]:
        line = self._line(deadline, what)
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise self._garbage(line) from error
        if not isinstance(answer, dict):
            raise self._garbage(line)
        return answer

    def _line(self, deadline: float, what: str) -> bytes:
        assert self._process.stdout is not None
        while b"\n" not in self._unread:
            readable, _, _ = select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            if not readable:
                raise MeasurementError(f"{self.name} took too long {what}; its last words: {self._last_words()}")
            piece = self._process.stdout.read(65536)
            if not piece:
                raise self._ended("while it was asked " + what)
            self._unread += piece
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _garbage(self, line: bytes) -> MeasurementError:
        shown = line.decode(errors="replace")[:_SHOWN_CHARACTERS]
        return MeasurementError(f"{self.name} printed {shown!r} where a line of JSON was due")

    def _ended(self, when: str) -> MeasurementError:
        status = self._process.wait()
        how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
        return MeasurementError(f"{self.name} ended {when}, {how}; its last words: {self._last_words()}")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " | ".join(line.strip()[:_SHOWN_CHARACTERS] for line in lines[-_SHOWN_LINES:]) or "none"


def _read_pass(answer: Mapping[str, Any], images: int, cpu_seconds: float) -> Pass:
    """What an answer says; KeyError, TypeError or ValueError where it is none."""
    if answer["images"] != images:
        raise ValueError(f"it did {answer['images']} images, not {images}")
    if not float(answer["seconds"]) > 0:
        raise ValueError(f"it took {answer['seconds']} seconds")
    return Pass(
        images=images,
        seconds=float(answer["seconds"]),
        cpu_seconds=cpu_seconds,
        found=None if answer.get("found") is None else int(answer["found"]),
        details={name: float(value) for name, value in answer.items() if name not in _OWN_FIELDS},
    )


def baseline(script: str) -> Path:
    """A script of bench/baselines.

    Raises:
        MeasurementError: this is no checkout, where the scripts are.
    """
    file = Path(__file__).resolve().parents[2] / "baselines" / script
    if not file.is_file():
        raise MeasurementError(f"{file} is not there: `sightline bench` needs a checkout, not only the package")
    return file
