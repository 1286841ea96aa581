"""Reads the server's log as it comes, and finds in it why the server could not start."""

from __future__ import annotations

import logging
import re
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import IO

from sightline_server.options import LogHandler

logger = logging.getLogger("sightline.server")

TAIL_LINES = 1000
# Triton frames a message as `E1121 12:56:13.517824 8074 file.cc:692] "message"`, with its line ends written as \n.
_MESSAGE = re.compile(r'^([EWI])\d{4} [\d:.]+\s+\d+ \S+:\d+\] "?(.*?)"?$')
_MODEL_FAILURES = (
    re.compile(r"failed to load '(?P<model>[^']+)' version \d+: (?P<reason>.+)"),
    re.compile(r"failed to load model '(?P<model>[^']+)': (?P<reason>.+)"),
    re.compile(r"Poll failed for model directory '(?P<model>[^']+)': (?P<reason>.+)"),
    re.compile(r"failed to poll model '(?P<model>[^']+)': (?P<reason>.+)"),
    re.compile(r"Invalid argument: ensemble '?(?P<model>[^\s']+)'? (?P<reason>.+)"),
)
_PARSE_ERROR = re.compile(r"Error parsing text-format \S+: (.*)")
_PORT_TAKEN = re.compile(r"Socket '\S+:(\d+)' already in use")
_HARMLESS = "CudaDriverHelper"  # an error on every machine without a GPU
_GAVE_UP = ("Waiting for in-flight requests to complete", "error: creating server")


@dataclass(frozen=True)
class ModelFailure:
    """One model that did not load.

    Attributes:
        model: its name, as the server knows it.
        reason: one line, without Triton's frame.
    """

    model: str
    reason: str


class ServerLog:
    """Keeps the end of the log, and hands each line on, in a thread of its own, until the server closes its end."""

    def __init__(self, stream: IO[bytes], handler: LogHandler | None) -> None:
        self._stream = stream
        self._handler = handler
        self._tail: deque[str] = deque(maxlen=TAIL_LINES)
        self._gave_up = threading.Event()
        self._thread = threading.Thread(target=self._read, name="sightline-server-log", daemon=True)
        self._thread.start()

    @property
    def gave_up(self) -> bool:
        """Whether the server said that it ends without having served."""
        return self._gave_up.is_set()

    def tail(self) -> list[str]:
        """The last lines so far."""
        return list(self._tail)

    def join(self, timeout_seconds: float) -> None:
        """Wait until everything was read."""
        self._thread.join(timeout_seconds)

    def _read(self) -> None:
        with self._stream:
            for raw in self._stream:
                line = raw.decode(errors="replace").rstrip("\r\n")
                self._tail.append(line)
                logger.debug("%s", line)
                self._hand_on(line)
                if any(mark in line for mark in _GAVE_UP):
                    self._gave_up.set()

    def _hand_on(self, line: str) -> None:
        if self._handler is None:
            return
        try:
            self._handler(line)
        except Exception as error:  # noqa: BLE001 - whatever it is: who stops reading here ends the server
            self._handler = None
            logger.warning("no longer handing on the server's log, since its handler failed: %r", error)


def model_failures(lines: Iterable[str]) -> list[ModelFailure]:
    """The models that failed to load, in the order in which the log tells, each once."""
    found: dict[str, str] = {}
    parse_error = ""
    for line in lines:
        if unparsed := _PARSE_ERROR.search(line):
            parse_error = unparsed[1]
        if failure := _match_failure(_message(line)):
            if "text proto" in failure.reason and parse_error:
                failure = ModelFailure(failure.model, parse_error)
            found.setdefault(failure.model, failure.reason)
    return [ModelFailure(model, reason) for model, reason in found.items()]


def taken_port(lines: Iterable[str]) -> int | None:
    """The TCP port that the server could not listen on."""
    return next((int(found[1]) for line in lines if (found := _PORT_TAKEN.search(line))), None)


def last_words(lines: Iterable[str]) -> str:
    """The last error in the log, or without one its last line, without Triton's frame; empty where it is empty."""
    listed = [line for line in lines if line.strip() and not line.startswith(("+", "|"))]
    errors = [line for line in listed if line.startswith(("E", "error:")) and _HARMLESS not in line]
    return _message((errors or listed or [""])[-1])


def _message(line: str) -> str:
    """The line without Triton's frame."""
    framed = _MESSAGE.match(line)
    return framed[2] if framed else line


def _match_failure(message: str) -> ModelFailure | None:
    for pattern in _MODEL_FAILURES:
        if found := pattern.search(message):
            return ModelFailure(found["model"], _readable(found["reason"]))
    return None


def _readable(reason: str) -> str:
    """A Python error comes as `Internal: TYPE: TEXT\\n\\nAt:\\n  FILE(LINE): FUNCTION\\n`; keep type and text."""
    text = reason.replace("\\n", "\n").partition("\n\nAt:\n")[0]
    return " ".join(text.removeprefix("Internal: ").split())
