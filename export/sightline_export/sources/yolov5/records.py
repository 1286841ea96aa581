"""What a checkpoint says, as data that cannot do anything."""

from __future__ import annotations

import reprlib
from typing import Any, ClassVar, NamedTuple


def short(value: Any) -> str:
    """A value of the file for a message: parts of it that stand in each other would fill the memory if written out."""
    return reprlib.repr(value)


class Record:
    """An object of a class that is known by name only.

    Attributes:
        qualified_name: the class in the file, such as `models.common.Conv`.
        attributes: what the file says about the object. They never become attributes of anything that runs.
    """

    __slots__ = ("attributes",)
    qualified_name: ClassVar[str]
    attributes: dict[str, Any]

    def __new__(cls) -> Record:
        """One that says nothing yet."""
        record = super().__new__(cls)
        record.attributes = {}
        return record

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
            raise TypeError(f"the state of a {self.qualified_name} is no dict by name")
        self.attributes = state


def record_class(name: str) -> type[Record]:
    """A class of records with that `qualified_name`."""
    return type(name.rpartition(".")[2], (Record,), {"__slots__": (), "qualified_name": name})


class Dictionary(dict[Any, Any]):
    """An `OrderedDict` of the file; attributes that it had beside its items are dropped."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Drop them."""


class Unread:
    """A value that nobody needs, such as a NumPy number of the training."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Unread:
        """Take whatever it is made of, and drop it."""
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Drop it."""


class Numbers(NamedTuple):
    """A row of numbers that tensors look at. A tuple, since no instruction of a pickle can change one."""

    kind: str
    """Its storage class in `torch`, such as `HalfStorage`."""
    key: str
    """Its name in the file."""
    length: int


class TensorRecord(NamedTuple):
    """A tensor: a view of a row of numbers. What the file says is not checked yet."""

    numbers: Any
    offset: Any
    shape: Any
    strides: Any
