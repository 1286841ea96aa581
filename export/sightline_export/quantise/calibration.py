"""The pictures that tell a quantised network what numbers to expect, and whether they are fit for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sightline.contract import DEFAULT_MAX_PIXELS
from sightline.errors import ImageError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.pictures import Picture, preprocess
from sightline_export.pixels import PixelFormat
from sightline_export.sample import SampleFiles, decode_rgb, open_sample

LEAST_PICTURES = 16
"""With fewer different pictures there is no calibration."""
ENOUGH_PICTURES = 100
"""With fewer there is a warning."""
MOST_PICTURES = 300
"""More are not looked at: they take time, and change the ranges no more."""
SAME = 0.998
"""Correlation of two thumbnails from which on they show the same picture: compressed anew, brighter, with noise."""
ALIKE = 0.95
"""Correlation from which on they show the same scene: frames of one fixed camera. Photographs of different things stay
below it: the nearest two of 100 of COCO have 0.71."""
_CELLS = 16
_NAMED_FILES = 3
Signature = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Pictures that were looked at and found fit.

    Attributes:
        files: those that can be decoded.
        scenes: how many different scenes they show.
    """

    files: SampleFiles
    scenes: int

    def inputs(self, preprocessing: Preprocessing, pixels: PixelFormat) -> Iterator[npt.NDArray[Any]]:
        """What the raw network takes of each, one after the other: float32 [1, 3, H, W]."""
        for name in self.files:
            yield self.input(name, preprocessing, pixels)

    def input(self, name: str, preprocessing: Preprocessing, pixels: PixelFormat) -> npt.NDArray[Any]:
        """What it takes of the one of that name; float32 [1, 3, H, W]."""
        return pixels.apply(preprocess(decode_rgb(self.files[name]), preprocessing))[None]


def open_calibration(folder: Path, *, tell: Callable[[str], None]) -> Calibration:
    """The pictures of a folder, `MOST_PICTURES` of them at the most, evenly taken.

    Args:
        folder: looked through with the folders in it.
        tell: is told what is doubtful about them.

    Raises:
        InvalidOptionError: there is no such folder, or there are fewer than `LEAST_PICTURES` different pictures in it.
    """
    if not folder.is_dir():
        raise InvalidOptionError(f"calibration {str(folder)!r} is not a folder; give one of photos with --calibration")
    files = _evenly(open_sample(folder), MOST_PICTURES)
    signatures, refused = _look(files)
    readable = files.only([name for name in files if name not in refused])
    if refused:
        named = "; ".join(f"{name}: {error}" for name, error in list(refused.items())[:_NAMED_FILES])
        tell(f"calibration: left out {len(refused)} files that cannot be decoded: {named}")
    pictures, scenes = (distinct(signatures, nearest) for nearest in (SAME, ALIKE))
    _check_number(folder, readable=len(readable), pictures=pictures)
    if pictures < ENOUGH_PICTURES:
        tell(
            f"WARNING: {pictures} different pictures are few to calibrate on; give {ENOUGH_PICTURES} or more, or trust "
            "the result only as far as the gate and `sightline evaluate` on other pictures go"
        )
    if 2 * scenes < len(readable):
        tell(
            f"WARNING: the {len(readable)} calibration pictures are nearly uniform: they show {scenes} different "
            "scenes. What differs from those (another camera, night, rain) may not be found; take some from all of them"
        )
    return Calibration(readable, scenes)


def _check_number(folder: Path, *, readable: int, pictures: int) -> None:
    if pictures >= LEAST_PICTURES:
        return
    copies = f", {readable - pictures} of them copies of others" if readable > pictures else ""
    raise InvalidOptionError(
        f"calibration {str(folder)!r} holds {readable} pictures{copies}; at least {LEAST_PICTURES} different ones are "
        f"needed, better {ENOUGH_PICTURES} or more, like those that the detector will see"
    )


def _evenly(files: SampleFiles, most: int) -> SampleFiles:
    names = list(files)
    places = np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int)
    return files.only([names[place] for place in places])


def _look(files: SampleFiles) -> tuple[list[Signature], dict[str, ImageError]]:
    signatures: list[Signature] = []
    refused: dict[str, ImageError] = {}
    for name in files:
        try:
            signatures.append(signature(decode_rgb(files[name], max_pixels=DEFAULT_MAX_PIXELS)))
        except ImageError as error:
            refused[name] = error
    return signatures, refused


def signature(picture: Picture) -> Signature:
    """A thumbnail as a vector of length 1, without brightness and contrast; the product of two is their correlation.

    A picture of one colour gives a vector that resembles only its like.
    """
    cells = cv2.resize(picture, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).astype(np.float64).ravel()
    cells -= cells.mean()
    length = float(np.linalg.norm(cells))
    vector: Signature = np.append(cells / length, 0.0) if length else np.append(cells, 1.0)
    return vector


def distinct(signatures: list[Signature], nearest: float) -> int:
    """How many are left when each that correlates by more than `nearest` with one that was kept is dropped."""
    kept: list[Signature] = []
    for each in signatures:
        if not kept or float((np.stack(kept) @ each).max()) <= nearest:
            kept.append(each)
    return len(kept)
