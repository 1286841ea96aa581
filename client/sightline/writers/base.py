"""What every writer of results is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, TypeVar

from sightline.detections import Result

Write = Callable[[], None]
Self = TypeVar("Self", bound="Writer")


class Writer(ABC):
    """Writes what was found in one image after another; images that failed never come here.

    Attributes:
        name: how messages call what is written.
        in_order: whether its writes must be made one after another, in the order of the results. Otherwise they are
            made by several threads at once.
    """

    name: ClassVar[str]
    in_order: ClassVar[bool]

    @abstractmethod
    def prepare(self, result: Result) -> Write:
        """Decide, quickly and in the order of the results, what to write; the answer writes it, in any thread.

        Raises:
            OutputError: it can be told at once that this result cannot be written. The answer raises it, too.
        """

    def write(self, result: Result) -> None:
        """Write one result now.

        Raises:
            OutputError: this result could not be written; others may be.
        """
        self.prepare(result)()

    def close(self) -> None:  # noqa: B027 (not every writer has something to finish)
        """Finish the files; nothing is written afterwards."""

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
