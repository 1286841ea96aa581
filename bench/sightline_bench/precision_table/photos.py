"""The annotated photos in two halves: one to calibrate on, one to judge by."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sightline_bench.models_table.material import LEARNT_PICTURES, Material, gather
from sightline_bench.models_table.rows import Row

_ARRANGED = 24


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Two folders without a common picture.

    Attributes:
        calibration: the second, fourth ... photo of COCO by name.
        judged: the first, third ...
        annotations: of both.
    """

    calibration: Path
    judged: Path
    annotations: Path


def halve(data: Path, folder: Path) -> Halves:
    """Copies of the photos below `data`, in two folders that are made in `folder`."""
    photos = sorted((data / "coco" / "images").glob("*.jpg"))
    return Halves(
        calibration=_copied(photos[1::2], folder / "calibration"),
        judged=_copied(photos[::2], folder / "judged"),
        annotations=data / "coco" / "instances.json",
    )


def material_of(row: Row, data: Path, folder: Path, halves: Halves) -> tuple[Material, Path]:
    """The row's own, with the pictures that int8 is calibrated on, none of which it is judged by."""
    material = gather(row, data, folder)
    if row.sample == "learnt":
        return material, _arranged_anew(folder / "arranged_anew")
    if row.sample == "coco":
        material = replace(material, sample=halves.judged)
    return material, halves.calibration


def _arranged_anew(folder: Path) -> Path:
    """What Detecto has learnt, in other rows than it is judged by."""
    import cv2

    from sightline_bench.detecto_example import strips

    folder.mkdir()
    for index, strip in enumerate(strips(LEARNT_PICTURES + _ARRANGED)[LEARNT_PICTURES:]):
        cv2.imwrite(str(folder / f"{index}.png"), strip.picture[..., ::-1])
    return folder


def pictures(folder: Path) -> list[Path]:
    """The folder's, by name."""
    return sorted(path for path in folder.iterdir() if path.is_file())


def _copied(photos: Sequence[Path], folder: Path) -> Path:
    folder.mkdir()
    for photo in photos:
        shutil.copy(photo, folder)
    return folder
