"""COCO results: the JSON array that pycocotools' `loadRes` reads."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, ClassVar

import numpy as np

from sightline.detections import Detections, Result, Source
from sightline.errors import InvalidOptionError, OutputError
from sightline.file_names import FileNames
from sightline.writers.base import Write, Writer
from sightline.writers.files import AppendFile, JsonObject, encode_json, reason_of
from sightline.writers.jsonl import BOX_DECIMALS, SCORE_DECIMALS, rounded

RESULTS_FILE = "coco_results.json"
IMAGES_FILE = "coco_images.json"


@dataclass(frozen=True)
class CocoIds:
    """Image and category ids of an annotations file.

    Attributes:
        images: ids by file name.
        categories: category ids by name.
    """

    images: FileNames[int]
    categories: Mapping[str, int]

    @classmethod
    def from_annotations(cls, path: Path) -> CocoIds:
        """Read the `images` and `categories` of a COCO annotations file.

        Raises:
            InvalidOptionError: it cannot be read, or is no such file.
        """
        try:
            content: Any = json.loads(path.read_bytes())
            images = FileNames.of((image["file_name"], image["id"]) for image in content["images"])
            categories = {category["name"]: category["id"] for category in content["categories"]}
        except OSError as error:
            raise InvalidOptionError(f"cannot read the annotations {path}: {reason_of(error)}") from error
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidOptionError(f"{path} is no COCO annotations file (images, categories): {error!r}") from error
        return cls(images, categories)

    def image_id(self, source: Source) -> int:
        """The id of the image whose `file_name` is the source's name, or its last folders and name.

        Raises:
            OutputError: there is none, or it cannot be told which of several it is.
        """
        try:
            return self.images.find(PurePath(source))
        except LookupError as error:
            raise OutputError(f"the annotations file has {error}; {RESULTS_FILE} leaves this out") from error


class CocoWriter(Writer):
    """`coco_results.json`: `[{"image_id", "category_id", "bbox": [x, y, width, height], "score"}]`, bbox in pixels.

    With an annotations file, ids are that file's, by file name and class name; objects of classes that it does not have
    are left out and counted in `left_out`. Without one, images are numbered from 1 in the order of the results and
    categories are class ids + 1; `coco_images.json` then tells which is which, in COCO's form. Files appear under these
    names only when they are complete; until then they end in `.part`.
    """

    name: ClassVar[str] = "COCO results"
    in_order: ClassVar[bool] = True

    def __init__(self, folder: Path, *, ids: CocoIds | None = None) -> None:
        """Write into `folder`.

        Raises:
            OutputError: a file cannot be made.
        """
        self.left_out: Counter[str] = Counter()
        self._ids = ids
        self._class_names: tuple[str, ...] = ()
        self._results = _ArrayFile(folder / RESULTS_FILE, opening=b"[")
        self._images = None if ids else _ArrayFile(folder / IMAGES_FILE, opening=b'{"images": [')
        self._images_seen = 0

    def prepare(self, result: Result) -> Write:
        """See `Writer`."""
        return lambda: self._append(result.source, result.unwrap())

    def close(self) -> None:
        """Finish the files and give them their names.

        Raises:
            OutputError: one cannot be written.
        """
        self._results.finish(closing=b"]\n")
        if self._images is not None:
            categories = [{"id": number, "name": name} for number, name in enumerate(self._class_names, start=1)]
            rest = encode_json({"categories": categories, "annotations": []})
            self._images.finish(closing=b"],\n" + rest.removeprefix(b"{") + b"\n")

    def _append(self, source: Source, detections: Detections) -> None:
        image_id = self._number(source, detections) if self._ids is None else self._ids.image_id(source)
        self._results.extend(self._records(image_id, detections))

    def _number(self, source: Source, detections: Detections) -> int:
        assert self._images is not None
        height, width = detections.image_size_hw
        image_id = self._images_seen + 1
        image = {"id": image_id, "file_name": str(source), "width": int(width), "height": int(height)}
        self._images.extend([image])
        self._images_seen, self._class_names = image_id, detections.class_names
        return image_id

    def _records(self, image_id: int, detections: Detections) -> list[JsonObject]:
        boxes = detections.boxes_xyxy.astype(np.float64)
        boxes_xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        columns = (rounded(boxes_xywh, BOX_DECIMALS), rounded(detections.scores, SCORE_DECIMALS))
        return [
            {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}
            for bbox, score, class_id in zip(*columns, detections.class_ids.tolist(), strict=True)
            if (category_id := self._category_id(class_id, detections.class_names[class_id])) is not None
        ]

    def _category_id(self, class_id: int, name: str) -> int | None:
        if self._ids is None:
            return class_id + 1
        category_id = self._ids.categories.get(name)
        if category_id is None:
            self.left_out[name] += 1
        return category_id


class _ArrayFile:
    """A JSON file that ends in an array, written as it comes, one element a line."""

    def __init__(self, path: Path, *, opening: bytes) -> None:
        self._path = path
        self._file = AppendFile(path.with_name(path.name + ".part"))
        self._file.append(opening)
        self._separator = b"\n"

    def extend(self, elements: Sequence[JsonObject]) -> None:
        if elements:
            self._file.append(self._separator + b",\n".join(map(encode_json, elements)))
            self._separator = b",\n"

    def finish(self, *, closing: bytes) -> None:
        self._file.append(b"\n" + closing)
        self._file.close_as(self._path)
