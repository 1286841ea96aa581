"""Runs the server as a child, and leaves nothing of it behind when it, its launcher or the caller ends in any way.

The launcher runs this file as a program in a session of its own, so that it uses the standard library only. Every
process that the server starts belongs to that session, or becomes a child of this process when its parent dies. The
launcher holds the other end of the control socket, which is standard input here: what comes out is the server's
process id, and closing it asks the server to stop.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

KILL = b"kill"
"""Sent by the launcher: do not wait for requests in flight."""
SHARED_MEMORY_FOLDER = Path("/dev/shm")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_POLL_SECONDS = 0.1
SIGNAL_STATUS = 128
"""Added to the number of the signal that ended the server, it is the exit status."""
CLEANUP_SECONDS = 10.0
"""Time that the supervisor needs, at most, beyond waiting for the server."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the supervisor runs, and what it cleans up afterwards.

    Attributes:
        command: program and arguments.
        folder: working folder, removed afterwards.
        shared_memory_prefix: names in /dev/shm that begin so are removed afterwards.
        launcher_pid: the process whose end stops the server.
        stop_timeout_seconds: from asking the server to stop to killing it.
    """

    command: list[str]
    folder: str
    shared_memory_prefix: str
    launcher_pid: int
    stop_timeout_seconds: float


def relatives(session_id: int) -> Iterator[int]:
    """Processes, other than the caller, that belong to the session or are children of its leader."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            stat = (entry / "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The command's name, in parentheses, may hold anything; behind it stand state, parent, group and session.
        _state, parent, _group, session = stat.rpartition(")")[2].split()[:4]
        if session_id in (int(parent), int(session)):
            yield int(entry.name)


def kill_relatives(session_id: int) -> None:
    """Kill what `relatives` finds."""
    for pid in relatives(session_id):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_orphans(session_id: int) -> None:
    """Kill what is left of the session of a leader that has been waited for."""
    # The system gives that number away again only once the session is empty: then it belongs to a stranger.
    if not Path(f"/proc/{session_id}").exists():
        kill_relatives(session_id)


def remove_leftovers(folder: Path, shared_memory_prefix: str) -> None:
    """Remove the run's folder and its shared-memory segments; neither needs to exist."""
    if SHARED_MEMORY_FOLDER.is_dir():
        for segment in SHARED_MEMORY_FOLDER.iterdir():
            if segment.name.startswith(shared_memory_prefix):
                segment.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


class Supervisor:
    """One run of the server, from start to the removal of its last trace."""

    def __init__(self, plan: Plan, control: socket.socket) -> None:
        self._plan = plan
        self._control = control
        self._terminated = False
        self._kill_now = False
        self._libc = ctypes.CDLL(None, use_errno=True)

    def run(self) -> int:
        """Run to the end; the server's exit status, or `SIGNAL_STATUS` + the signal that ended it."""
        self._libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        signal.signal(signal.SIGTERM, self._on_sigterm)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            # Safe in a process with one thread; this also ends the server when somebody kills the supervisor.
            server = subprocess.Popen(
                self._plan.command,
                stdin=subprocess.DEVNULL,
                cwd=self._plan.folder,
                preexec_fn=self._die_with_supervisor,  # noqa: PLW1509
            )
            self._control.sendall(b"%d\n" % server.pid)
            while server.poll() is None and not self._asked_to_stop():
                pass
            return self._stop(server)
        finally:
            self._kill_descendants()
            remove_leftovers(Path(self._plan.folder), self._plan.shared_memory_prefix)

    def _on_sigterm(self, signum: int, frame: FrameType | None) -> None:
        self._terminated = True

    def _die_with_supervisor(self) -> None:
        self._libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)

    def _asked_to_stop(self) -> bool:
        """Wait a moment for a reason to stop."""
        readable, _, _ = select.select([self._control], [], [], _POLL_SECONDS)
        # A process that the launcher forked may hold the socket open, so its end alone is not enough to go by.
        gone = os.getppid() != self._plan.launcher_pid
        return bool(readable) or gone or self._terminated

    def _stop(self, server: subprocess.Popen[bytes]) -> int:
        if server.poll() is None:
            server.terminate()
        deadline = time.monotonic() + self._plan.stop_timeout_seconds
        while server.poll() is None and time.monotonic() < deadline and not self._asked_to_kill():
            time.sleep(_POLL_SECONDS / 10)
        if server.poll() is None:
            server.kill()
        status = server.wait()
        return status if status >= 0 else SIGNAL_STATUS - status

    def _asked_to_kill(self) -> bool:
        self._control.setblocking(False)
        try:
            self._kill_now = self._kill_now or self._control.recv(len(KILL)) == KILL
        except OSError:  # nothing to read, or the launcher is gone
            return self._kill_now
        return self._kill_now

    def _kill_descendants(self) -> None:
        while True:
            kill_relatives(os.getpid())
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def main() -> None:
    """Run the plan in the first argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    with socket.socket(fileno=sys.stdin.fileno()) as control:
        sys.exit(Supervisor(plan, control).run())


if __name__ == "__main__":
    main()
