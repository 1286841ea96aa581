"""Keeps the stack on which a thread's signal handlers run.

OpenVINO's plugin for CPUs gives the thread that loads it another one, since registers of AVX-512 and AMX need room, and
unmaps that when it is unloaded. Where another thread lets go of it last, the first one keeps an address with nothing
behind it, and the next signal, such as Ctrl-C, ends the process with a segmentation fault instead of being handled.
Handlers that are written in Python do with the stack that was there before.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """`stack_t` of sigaltstack(2)."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size_bytes", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Iterator[None]:
    """Give the thread that stack back at the end which it has at the beginning, or none.

    Raises:
        OSError: the system refuses.
    """
    before = _Stack()
    _sigaltstack(None, before)
    try:
        yield
    finally:
        _sigaltstack(before, None)


def _sigaltstack(now: _Stack | None, before: _Stack | None) -> None:
    system = ctypes.CDLL(None, use_errno=True)
    given, taken = (ctypes.byref(stack) if stack is not None else None for stack in (now, before))
    if system.sigaltstack(given, taken):
        number = ctypes.get_errno()
        raise OSError(number, f"sigaltstack: {os.strerror(number)}")
