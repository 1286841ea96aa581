"""Reads the instructions of a pickle without following any."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.errors import CheckpointError

_KNOWN = frozenset(
    (
        *("PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
        *("BINUNICODE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("EMPTY_LIST", "APPEND", "APPENDS", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("GLOBAL", "NEWOBJ", "REDUCE", "BUILD", "BINPERSID", "POP"),
    )
)
"""What `torch.save` writes (pickle protocol 2). Others reach code in further ways, or take memory out of nothing."""
_MEMO = ("BINPUT", "LONG_BINPUT")


def named_globals(pickled: bytes, path: Path) -> list[str]:
    """Everything that the pickle would import, as `module.name`, in the order of first use.

    Raises:
        CheckpointError: it is cut short, or holds instructions that `torch.save` does not write.
    """
    names: dict[str, None] = {}
    for name, argument, _ in _instructions(pickled, 0, path):
        if name not in _KNOWN:
            raise CheckpointError(
                f"{path} holds a pickle with the instruction {name}, which PyTorch does not write; it is not "
                "followed, as it may run code. Save it anew with torch.save where it was trained"
            )
        if name == "GLOBAL":
            names[argument.replace(" ", ".")] = None
        # The unpickler makes room for as many entries as the highest number says.
        if name in _MEMO and argument > len(pickled):
            raise _damaged(path)
    return list(names)


def end_of_pickle(content: bytes, start: int, path: Path) -> int:
    """Where the pickle that begins at `start` ends.

    Raises:
        CheckpointError: it is cut short.
    """
    return 1 + max(position for _, _, position in _instructions(content, start, path))


def _instructions(content: bytes, start: int, path: Path) -> Iterator[tuple[str, Any, int]]:
    """Name, argument and position of each, up to the first STOP."""
    stream = io.BytesIO(content)
    stream.seek(start)
    instructions = pickletools.genops(stream)
    while True:
        try:
            opcode, argument, position = next(instructions)
        except StopIteration:
            return
        except (ValueError, IndexError, OverflowError) as error:
            raise _damaged(path) from error
        yield opcode.name, argument, position or 0


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path} is truncated or damaged; copy it again, or save it anew where it was trained")
