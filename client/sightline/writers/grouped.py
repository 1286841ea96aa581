"""Results of a group: each member's in a folder of its own, written as a single detector's are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from sightline.detections import Result
from sightline.errors import InvalidOptionError, OutputError
from sightline.writers.annotated import AnnotatedWriter, SharedPicture
from sightline.writers.base import Write, Writer


class GroupWriter(Writer):
    """`NAME/…` for each member of a group, in a format that has no place for several models' detections.

    Attributes:
        members: the writer of each member, by its name.
    """

    def __init__(self, folder: Path, models: Iterable[str], make: Callable[[Path], Writer]) -> None:
        """Write into a folder below `folder` for each of `models`.

        Args:
            folder: where the members' folders are made.
            models: names of the members, at least one.
            make: makes the writer of one member, which writes into the given folder.

        Raises:
            InvalidOptionError: there are no models.
            OutputError: a folder cannot be made.
        """
        self.members: Mapping[str, Writer] = {model: make(folder / model) for model in models}
        if not self.members:
            raise InvalidOptionError("a group has members; none are given")
        first = next(iter(self.members.values()))
        # Of one kind, all of them.
        self.name = first.name  # type: ignore[misc]
        self.in_order = first.in_order  # type: ignore[misc]

    def prepare(self, result: Result) -> Write:
        """See `Writer`; what one member's writer refuses keeps no other from writing.

        Raises:
            OutputError: the group has other members than it had when the writer was made.
        """
        writes: dict[str, Write] = {}
        errors: list[OutputError] = []
        group = result.unwrap_group()
        if group.keys() != self.members.keys():
            raise OutputError(
                f"the group has other members ({', '.join(group)}) than when this run began "
                f"({', '.join(self.members)}): it was made anew on the server meanwhile; run again"
            )
        # Members draw into one picture, which is decoded once.
        decoded = SharedPicture(result.source)
        for model, writer in self.members.items():
            of_member = Result(result.source, group[model], milliseconds=result.milliseconds)
            try:
                writes[model] = (
                    writer.prepare_sharing(of_member, decoded)
                    if isinstance(writer, AnnotatedWriter)
                    else writer.prepare(of_member)
                )
            except OutputError as error:
                errors.append(OutputError(f"{model}: {error}"))
        return partial(_write, writes, errors)

    def close(self) -> None:
        """Finish the files of all members.

        Raises:
            OutputError: one cannot be written; the others are.
        """
        _write({model: writer.close for model, writer in self.members.items()}, [])


def _write(writes: Mapping[str, Write], errors: Iterable[OutputError]) -> None:
    failed = list(errors)
    for model, write in writes.items():
        try:
            write()
        except OutputError as error:
            failed.append(OutputError(f"{model}: {error}"))
    if failed:
        raise OutputError("; ".join(map(str, failed)))
