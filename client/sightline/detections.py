"""What comes back for one image."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.errors import InvalidOptionError, MissingDependencyError, SightlineError

if TYPE_CHECKING:
    import supervision


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects found in one image, best first.

    Attributes:
        boxes_xyxy: float32 (N, 4): left, top, right, bottom in pixels of the original image after EXIF rotation.
        scores: float32 (N,), 0 to 1.
        class_ids: int32 (N,), indices into `class_names`.
        class_names: every class the detector knows.
        image_size_hw: height and width of the original image after EXIF rotation, in pixels.

    Raises:
        InvalidOptionError: shapes, ranges or class ids do not fit together.
    """

    boxes_xyxy: npt.NDArray[np.float32]
    scores: npt.NDArray[np.float32]
    class_ids: npt.NDArray[np.int32]
    class_names: tuple[str, ...]
    image_size_hw: tuple[int, int]

    def __post_init__(self) -> None:
        count = len(self.scores)
        shapes = (
            ("boxes_xyxy", self.boxes_xyxy.shape, (count, 4)),
            ("scores", self.scores.shape, (count,)),
            ("class_ids", self.class_ids.shape, (count,)),
        )
        for name, came, wanted in shapes:
            if came != wanted:
                raise InvalidOptionError(f"{name} has shape {came}; with {count} scores it must be {wanted}")
        if min(self.image_size_hw) < 1:
            raise InvalidOptionError(f"image_size_hw is {self.image_size_hw}; both sides must be at least 1 pixel")
        if count:
            self._check_values()

    def _check_values(self) -> None:
        if not np.isfinite(self.boxes_xyxy).all():
            raise InvalidOptionError("boxes_xyxy holds NaN or infinity")
        lowest, highest = self.scores.min(), self.scores.max()
        if not (lowest >= 0 and highest <= 1):  # neither is true of NaN
            raise InvalidOptionError(f"scores lie from {lowest} to {highest}; 0 to 1 is allowed")
        first, last = self.class_ids.min(), self.class_ids.max()
        if first < 0 or last >= len(self.class_names):
            raise InvalidOptionError(
                f"class ids lie from {first} to {last}; "
                f"with {len(self.class_names)} class names 0 to {len(self.class_names) - 1} is allowed"
            )

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[tuple[npt.NDArray[np.float32], float, int, str]]:
        """Box, score, class id and class name of each object."""
        for box, score, class_id in zip(self.boxes_xyxy, self.scores, self.class_ids, strict=True):
            yield box, float(score), int(class_id), self.class_names[class_id]

    @classmethod
    def none(cls, *, class_names: Sequence[str], image_size_hw: tuple[int, int]) -> Detections:
        """No objects, in an image of that height and width in pixels."""
        no_boxes, no_scores = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
        return cls(no_boxes, no_scores, np.zeros(0, np.int32), tuple(class_names), image_size_hw)

    def only(self, keep: npt.NDArray[np.bool_] | npt.NDArray[np.integer[Any]]) -> Detections:
        """Those selected by a mask (N,) or by indices."""
        return Detections(
            self.boxes_xyxy[keep], self.scores[keep], self.class_ids[keep], self.class_names, self.image_size_hw
        )

    def only_classes(self, names: Sequence[str]) -> Detections:
        """Those of the named classes.

        Raises:
            InvalidOptionError: the detector does not know a name.
        """
        wanted = class_ids_of(names, self.class_names)
        return self.only(np.isin(self.class_ids, wanted))

    def to_supervision(self) -> supervision.Detections:
        """The same as `supervision.Detections`, with the names under `data["class_name"]`.

        Raises:
            MissingDependencyError: the `annotate` extra is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingDependencyError("to_supervision() needs: `make install` in a checkout") from error
        names = np.array([self.class_names[i] for i in self.class_ids], dtype=str)
        return supervision.Detections(
            xyxy=self.boxes_xyxy.copy(),
            confidence=self.scores.copy(),
            class_id=self.class_ids.astype(int),
            data={"class_name": names},
        )


class GroupDetections(Mapping[str, Detections]):
    """The objects that each member of a group found in one image: `found["yolov8n"]`, in the group's order.

    Args:
        by_model: one `Detections` per member, by its name; at least one, all of the same image.

    Raises:
        InvalidOptionError: there are none, or they belong to images of different size.
    """

    def __init__(self, by_model: Mapping[str, Detections]) -> None:
        sizes = {found.image_size_hw for found in by_model.values()}
        if len(sizes) != 1:
            raise InvalidOptionError(f"a group's detections belong to one image; these have the sizes {sorted(sizes)}")
        self._by_model = dict(by_model)

    def __getitem__(self, model: str) -> Detections:
        return self._by_model[model]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_model)

    def __len__(self) -> int:
        """The number of members."""
        return len(self._by_model)

    def __hash__(self) -> int:
        return hash(frozenset(self._by_model.items()))

    def __repr__(self) -> str:
        return f"GroupDetections({self._by_model!r})"

    @property
    def image_size_hw(self) -> tuple[int, int]:
        """Height and width of the original image after EXIF rotation, in pixels."""
        return next(iter(self._by_model.values())).image_size_hw

    def only_classes(self, names: Sequence[str]) -> GroupDetections:
        """Those of the named classes; a member that does not know any of them keeps nothing.

        Raises:
            InvalidOptionError: no member knows a name.
        """
        known = list(dict.fromkeys(name for found in self.values() for name in found.class_names))
        class_ids_of(names, known)
        return GroupDetections(
            {
                model: found.only_classes([name for name in names if name in found.class_names])
                for model, found in self.items()
            }
        )


Found = Detections | GroupDetections
"""What one image gave: of a detector, or of a group."""


def class_ids_of(names: Sequence[str], class_names: Sequence[str]) -> list[int]:
    """Class ids of the names, rising; all of them where several classes share a name.

    Raises:
        InvalidOptionError: a name is unknown; the message lists the known ones.
    """
    unknown = [name for name in names if name not in class_names]
    if unknown:
        known = ", ".join(class_names)
        raise InvalidOptionError(f"the model has no class {', '.join(map(repr, unknown))}; it knows: {known}")
    return [class_id for class_id, name in enumerate(class_names) if name in names]


Source = str | Path
"""Where an image came from: a path, or a name that the caller gave it."""


@dataclass(frozen=True)
class Result:
    """What one image gave: detections, those of a group, or the error that is its own; exactly one of the three.

    Attributes:
        source: where the image came from.
        detections: the objects found in it, none being a finding too; None where a group was asked.
        error: why there are no detections.
        milliseconds: from sending the request that carried the image to its answer; None where nothing was sent.
        group: what each member found, where a group was asked; None where a detector was.
    """

    source: Source
    detections: Detections | None = None
    error: SightlineError | None = None
    milliseconds: float | None = None
    group: GroupDetections | None = None

    def __post_init__(self) -> None:
        if (self.detections, self.error, self.group).count(None) != 2:
            raise InvalidOptionError("a result has either detections, those of a group, or an error")

    @classmethod
    def of(cls, source: Source, found: Found, *, milliseconds: float | None = None) -> Result:
        """The result of an image in which something was looked for."""
        if isinstance(found, GroupDetections):
            return cls(source, group=found, milliseconds=milliseconds)
        return cls(source, detections=found, milliseconds=milliseconds)

    def unwrap(self) -> Detections:
        """The detections; raises the error where there is one.

        Raises:
            InvalidOptionError: they are those of a group: see `unwrap_group`.
        """
        if self.error is not None:
            raise self.error
        if self.detections is None:
            raise InvalidOptionError("this is the result of a group: take unwrap_group() or .group")
        return self.detections

    def unwrap_group(self) -> GroupDetections:
        """What each member of the group found; raises the error where there is one.

        Raises:
            InvalidOptionError: it is the result of a single detector: see `unwrap`.
        """
        if self.error is not None:
            raise self.error
        if self.group is None:
            raise InvalidOptionError("this is the result of one detector: take unwrap() or .detections")
        return self.group
