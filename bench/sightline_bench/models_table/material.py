"""What a row needs: its source, pictures to judge it on and, where there are some, annotations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline_export.sample import BUNDLED_FOLDER

from .rows import Row

if TYPE_CHECKING:
    from sightline_bench.detecto_example import Strip

_DRAWN_PICTURES = 4
"""Of the bundled pictures: with at least 50 detections in each they are enough for a verdict."""
LEARNT_PICTURES = 6
"""That Detecto is judged on."""


@dataclass(frozen=True, kw_only=True)
class Material:
    """Of one row.

    Attributes:
        source: what is exported: a file, or the name of an architecture.
        sample: folder of pictures.
        annotations: of those pictures, in COCO's format; None without.
        classes: names for a file that holds none.
    """

    source: Path
    sample: Path
    annotations: Path | None = None
    classes: tuple[str, ...] | None = None


def gather(row: Row, data: Path, folder: Path) -> Material:
    """The material of a row; what is not among the test data is made in `folder`."""
    if row.sample == "learnt":
        return _train_detecto(folder)
    file = data / row.source
    source = file if file.exists() else Path(row.source)
    if row.sample == "coco":
        return Material(source=source, sample=data / "coco" / "images", annotations=data / "coco" / "instances.json")
    return Material(source=source, sample=_drawn_pictures(folder))


def _drawn_pictures(folder: Path) -> Path:
    target = folder / "pictures"
    target.mkdir()
    for picture in sorted(BUNDLED_FOLDER.glob("*.jpg"))[:_DRAWN_PICTURES]:
        shutil.copy(picture, target)
    return target


def _train_detecto(folder: Path) -> Material:
    """A file of the real package, of a network that has learnt a few drawn scenes by heart."""
    import cv2

    from sightline_bench.detecto_example import CLASSES, strips, train_detecto

    sample, annotations = folder / "pictures", folder / "annotations.json"
    sample.mkdir()
    learnt = {f"{index}.png": strip for index, strip in enumerate(strips(LEARNT_PICTURES))}
    for name, strip in learnt.items():
        cv2.imwrite(str(sample / name), strip.picture[..., ::-1])
    annotations.write_text(json.dumps(_as_coco(learnt, CLASSES)), encoding="utf-8")
    return Material(source=train_detecto(folder).file, sample=sample, annotations=annotations, classes=CLASSES)


def _as_coco(strips: Mapping[str, Strip], classes: Sequence[str]) -> dict[str, Any]:
    """Annotations in COCO's format."""
    images = [
        {"id": index, "file_name": name, "height": strip.picture.shape[0], "width": strip.picture.shape[1]}
        for index, (name, strip) in enumerate(strips.items())
    ]
    objects = [
        {
            "image_id": index,
            "category_id": int(class_id),
            "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
            "area": float((right - left) * (bottom - top)),
            "iscrowd": 0,
        }
        for index, strip in enumerate(strips.values())
        for (left, top, right, bottom), class_id in zip(strip.boxes_xyxy, strip.class_ids, strict=True)
    ]
    return {
        "categories": [{"id": index, "name": name} for index, name in enumerate(classes)],
        "images": images,
        "annotations": [{"id": number, **each} for number, each in enumerate(objects, start=1)],
    }
