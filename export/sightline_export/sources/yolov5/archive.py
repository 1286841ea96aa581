"""Opens what `torch.save` wrote, in its present form (a zip) and in the one before PyTorch 1.6; needs no torch."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.errors import CheckpointError

from .opcodes import end_of_pickle
from .unpickle import plain_value

_LARGEST_PICKLE_BYTES = 64 << 20
_LARGEST_TENSORS_BYTES = 8 << 30
"""A compressed member can be a thousand times the file: nothing is unpacked beyond these."""
_PICKLE = "data.pkl"
_LEGACY_MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_COUNT_BYTES = 8


class Archive(Protocol):
    """A checkpoint's two parts."""

    @property
    def pickle(self) -> bytes:
        """Everything but the numbers."""

    def numbers(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        """The tensors' numbers, little-endian, by key.

        Args:
            sizes: bytes by key: as many as the pickle says that there are.

        Raises:
            CheckpointError: some are missing, or of another size.
        """


def open_archive(path: Path) -> Archive:
    """The checkpoint at `path`.

    Raises:
        CheckpointError: it is empty, truncated, or nothing that `torch.save` wrote.
    """
    if path.stat().st_size == 0:
        raise CheckpointError(f"{path} is empty; copy it again")
    with path.open("rb") as file:
        start = file.read(len(_LEGACY_MAGIC))
    if start == _LEGACY_MAGIC:
        return _open_legacy(path)
    if zipfile.is_zipfile(path):
        return _open_zip(path)
    what = "is truncated" if start.startswith(b"PK") else "is truncated, or not a checkpoint that PyTorch saved"
    raise CheckpointError(f"{path} {what}; copy it again, or save it anew where it was trained")


@dataclass(frozen=True)
class _Zip:
    path: Path
    folder: str
    pickle: bytes

    def numbers(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        if sum(sizes.values()) > _LARGEST_TENSORS_BYTES:
            raise CheckpointError(f"{self.path} claims to hold {sum(sizes.values())} bytes of weights; it is damaged")
        try:
            with zipfile.ZipFile(self.path) as members:
                return {key: self._member(members, key, size) for key, size in sizes.items()}
        except (zipfile.BadZipFile, KeyError, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise _damaged(self.path, error) from error

    def _member(self, members: zipfile.ZipFile, key: str, size: int) -> bytes:
        name = f"{self.folder}data/{key}"
        if (there := members.getinfo(name).file_size) != size:
            raise CheckpointError(f"{self.path} is damaged: {name} has {there} bytes, not {size}; copy it again")
        return members.read(name)


def _open_zip(path: Path) -> _Zip:
    try:
        with zipfile.ZipFile(path) as members:
            names = [name for name in members.namelist() if name.rpartition("/")[2] == _PICKLE]
            if len(names) != 1:
                raise CheckpointError(f"{path} is a zip file without one {_PICKLE}, not a checkpoint of PyTorch")
            folder = names[0].removesuffix(_PICKLE)
            if f"{folder}byteorder" in members.namelist() and members.read(f"{folder}byteorder").strip() != b"little":
                raise CheckpointError(f"{path} was saved on a big-endian machine; save it anew on another")
            if (size := members.getinfo(names[0]).file_size) > _LARGEST_PICKLE_BYTES:
                raise _too_large(path, size)
            return _Zip(path, folder, members.read(names[0]))
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise _damaged(path, error) from error


@dataclass(frozen=True)
class _Legacy:
    """Pickles one after the other: magic number, version, machine, object, keys; then the numbers of each key."""

    path: Path
    content: bytes
    start: int
    end: int

    @property
    def pickle(self) -> bytes:
        return self.content[self.start : self.end]

    def numbers(self, sizes: Mapping[str, int]) -> dict[str, bytes]:
        position = end_of_pickle(self.content, self.end, self.path)
        keys = plain_value(self.content[self.end : position], self.path)
        if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(sizes):
            raise CheckpointError(f"{self.path} is damaged: it lists other tensors than it holds; copy it again")
        found = {}
        for key in map(str, keys):
            # The count of numbers, which is known already, stands before them.
            position += _COUNT_BYTES
            found[key] = self.content[position : position + sizes[key]]
            if len(found[key]) != sizes[key]:
                raise CheckpointError(f"{self.path} is truncated; copy it again, or save it anew")
            position += sizes[key]
        return found


def _open_legacy(path: Path) -> _Legacy:
    content = path.read_bytes()
    version_end = end_of_pickle(content, len(_LEGACY_MAGIC), path)
    machine_end = end_of_pickle(content, version_end, path)
    if plain_value(content[len(_LEGACY_MAGIC) : version_end], path) != _LEGACY_PROTOCOL:
        raise CheckpointError(f"{path} was saved by an unknown version of PyTorch; save it anew")
    machine = plain_value(content[version_end:machine_end], path)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise CheckpointError(f"{path} was saved on a big-endian machine; save it anew on another")
    end = end_of_pickle(content, machine_end, path)
    if end - machine_end > _LARGEST_PICKLE_BYTES:
        raise _too_large(path, end - machine_end)
    return _Legacy(path, content, machine_end, end)


def _too_large(path: Path, size: int) -> CheckpointError:
    return CheckpointError(f"{path} holds a pickle of {size} bytes; {_LARGEST_PICKLE_BYTES} are allowed")


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(f"{path} is damaged ({error}); copy it again, or save it anew where it was trained")
