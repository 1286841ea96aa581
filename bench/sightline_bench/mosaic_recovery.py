"""How much of what a detector finds in single photos it finds in a mosaic of them, in tiles.

    sightline export yolov8n.pt --repository /tmp/large
    python -m sightline_bench.mosaic_recovery --repository /tmp/large --model yolov8n \\
        --photos coco/images/ --annotations coco/instances.json

Photos make mosaics of 20, side by side without gaps, and each in the middle of a grey square of a tile's size.
Compared are what the photos give alone, in that square and unscaled, what the mosaic gives in tiles, and what the
annotations say that there is. As a control the photos are moved by 16 pixels within their squares, without mosaic or
tiles: that shows how far the network repeats itself. docs/large-images.md holds what it printed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline import Client, ClientOptions, Detections, EncodedImage, Tiling
from sightline.annotate import Picture, decode_upright
from sightline.boxes import areas, intersections, letterbox, pairwise_iou, xywh_to_xyxy
from sightline.evaluation import GroundTruth, match_categories, read_annotations
from sightline_server.launcher import EmbeddedServer, ServerOptions

COLUMNS, ROWS = 5, 4
THRESHOLD = 0.25
CONFIDENT = 0.4
LOWEST_SCORE = 0.05
"""Boxes that a photo gives alone with at least this score are somebody's, and so no duplicates."""
_GREY = 114
_MOVE = 16


@dataclass(frozen=True)
class Mosaic:
    """A picture made of photos, and where each begins (x, y) in pixels."""

    picture: Picture
    places: tuple[tuple[int, int], ...]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.picture.shape[0], self.picture.shape[1]

    def joined(self, alone: Iterable[Detections]) -> Detections:
        """What each photo gives, in pixels of the mosaic."""
        every = list(alone)
        offsets = [np.array(place * 2, np.float32) for place in self.places]
        return Detections(
            np.concatenate([each.boxes_xyxy + offset for each, offset in zip(every, offsets, strict=True)]),
            np.concatenate([each.scores for each in every]),
            np.concatenate([each.class_ids for each in every]),
            every[0].class_names,
            self.size_hw,
        )


def touching(photos: Sequence[Picture]) -> Mosaic:
    """Side by side without gaps, in rows; grey only where a row or a column ends early."""
    rows = [photos[start : start + COLUMNS] for start in range(0, len(photos), COLUMNS)]
    places, top = [], 0
    for row in rows:
        lefts = np.cumsum([0, *(photo.shape[1] for photo in row[:-1])]).tolist()
        places += [(left, top) for left in lefts]
        top += max(photo.shape[0] for photo in row)
    width = max(sum(photo.shape[1] for photo in row) for row in rows)
    return _pasted(photos, places, (top, width))


def apart(photos: Sequence[Picture], side: int) -> Mosaic:
    """Each in the middle of a grey square, where the network's own letterbox of that side puts it too."""
    places = []
    for index, photo in enumerate(photos):
        fitted = letterbox(image_size_hw=photo.shape[:2], input_size=side)
        places.append((index % COLUMNS * side + fitted.left, index // COLUMNS * side + fitted.top))
    return _pasted(photos, places, (-(-len(photos) // COLUMNS) * side, min(len(photos), COLUMNS) * side))


def _pasted(photos: Sequence[Picture], places: Sequence[tuple[int, int]], size_hw: tuple[int, int]) -> Mosaic:
    picture = np.full((*size_hw, 3), _GREY, np.uint8)
    for photo, (left, top) in zip(photos, places, strict=True):
        picture[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    return Mosaic(picture, tuple(places))


def matched(wanted: Detections, came: Detections) -> dict[int, int]:
    """Which of `came` is which of `wanted`: the same class, IoU of at least 0.5, one for one, best pairs first."""
    alike = wanted.class_ids[:, None] == came.class_ids[None]
    iou = np.where(alike, pairwise_iou(wanted.boxes_xyxy, came.boxes_xyxy), 0)
    pairs: dict[int, int] = {}
    for flat in np.argsort(-iou, axis=None, kind="stable"):
        one, other = divmod(int(flat), len(came))
        if iou[one, other] < 0.5:
            break
        if one not in pairs.values() and other not in pairs:
            pairs[other] = one
    return pairs


def duplicates(came: Detections, pairs: dict[int, int]) -> list[int]:
    """Boxes that are nobody's, and lie mostly in one of the same class that is somebody's."""
    taken = np.array(sorted(pairs), np.int64)
    found = []
    for other in set(range(len(came))) - set(pairs):
        alike = came.boxes_xyxy[taken[came.class_ids[taken] == came.class_ids[other]]]
        box = came.boxes_xyxy[[other]]
        if (intersections(box, alike)[0] > 0.6 * np.minimum(areas(box), areas(alike))).any():
            found.append(other)
    return found


@dataclass
class Counts:
    """Objects and boxes, over all mosaics of one kind."""

    alone: int = 0
    found: int = 0
    sure_alone: int = 0
    sure_found: int = 0
    boxes: int = 0
    duplicates: int = 0
    true: int = 0
    true_alone: int = 0
    true_found: int = 0

    def add(self, alone: Detections, came: Detections, truth: Detections | None) -> None:
        """Count a mosaic, or a photo.

        Args:
            alone: what the photos give alone, down to `LOWEST_SCORE`.
            came: what is found otherwise, at `THRESHOLD`.
            truth: what there is.
        """
        wanted, sure = (alone.only(alone.scores >= least) for least in (THRESHOLD, CONFIDENT))
        self.alone += len(wanted)
        self.found += len(matched(wanted, came))
        self.sure_alone += len(sure)
        self.sure_found += len(matched(sure, came))
        self.boxes += len(came)
        self.duplicates += len(duplicates(came, matched(alone, came)))
        if truth is not None:
            self.true += len(truth)
            self.true_alone += len(matched(truth, wanted))
            self.true_found += len(matched(truth, came))

    def __str__(self) -> str:
        annotated = f"{self.true_found} and {self.true_alone} of {self.true}" if self.true else "-"
        return (
            f"{_share(self.found, self.alone)} | {_share(self.sure_found, self.sure_alone)} | {annotated} "
            f"| {_share(self.duplicates, self.boxes)}"
        )


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} ({100 * part / max(1, whole):.1f} %)"


def measure(
    client: Client, tiled: Client, tile: int, files: Sequence[Path], truth: GroundTruth | None
) -> Iterator[str]:
    """A row of the table for each kind of mosaic, and one for the photos that were only moved.

    Args:
        client: finds without tiles.
        tiled: finds in tiles.
        tile: their side in pixels, which is the side of the network's input.
        files: photos; those that do not fill a mosaic are left out of mosaics.
        truth: what there is in them.
    """
    photos = [decode_upright(file.read_bytes()) for file in files]
    middle = [apart([photo], tile) for photo in photos]
    alone = _find(client, middle, LOWEST_SCORE)
    real = [annotated(truth, file, each) for file, each in zip(files, alone, strict=True)] if truth else None
    count = COLUMNS * ROWS
    twenties = [slice(start, start + count) for start in range(0, len(photos) - count + 1, count)]
    for name, arrange in (("photos touch", touching), ("grey between them", partial(apart, side=tile))):
        counts = Counts()
        for some in twenties:
            mosaic = arrange(photos[some])
            came = tiled.detect(_encoded(mosaic.picture), score_threshold=THRESHOLD)
            counts.add(mosaic.joined(alone[some]), came, mosaic.joined(real[some]) if real else None)
        yield f"| {name} | {counts} |"
    counts = Counts()
    chosen = [index for index, each in enumerate(middle) if max(each.places[0]) >= _MOVE]
    moved = [_moved(photos[index], middle[index]) for index in chosen]
    for index, came in zip(chosen, _find(client, moved, THRESHOLD), strict=True):
        counts.add(alone[index], came, real[index] if real else None)
    yield f"| alone, moved by {_MOVE} pixels | {counts} |"


def _moved(photo: Picture, middle: Mosaic) -> Mosaic:
    """The photo elsewhere in the grey square, along the side where there is most room."""
    left, top = middle.places[0]
    place = (left, top + _MOVE) if top >= left else (left + _MOVE, top)
    return _pasted([photo], [place], middle.size_hw)


def _find(client: Client, singles: Sequence[Mosaic], score_threshold: float) -> list[Detections]:
    """What mosaics of one photo give, in pixels of the photo."""
    pictures = (_encoded(each.picture) for each in singles)
    found = [result.unwrap() for result in client.stream(pictures, batch_size=1, score_threshold=score_threshold)]
    return [
        replace(each, boxes_xyxy=each.boxes_xyxy - np.array(single.places[0] * 2, np.float32))
        for each, single in zip(found, singles, strict=True)
    ]


def _encoded(picture: Picture) -> EncodedImage:
    return EncodedImage.from_array(picture[..., ::-1])


def annotated(truth: GroundTruth, file: Path, found: Detections) -> Detections:
    """What there is in a photo, in the detector's classes; crowds are no objects.

    Args:
        truth: annotations.
        file: the photo.
        found: what the detector finds in it.
    """
    categories = match_categories(found.class_names, truth.categories).category_of_class
    class_of = {category: number for number, category in enumerate(categories) if category is not None}
    image = next(index for index, each in enumerate(truth.images) if each.file_name == file.name)
    objects = [each for each in truth.objects if each.image == image and not each.crowd and each.category in class_of]
    boxes: npt.NDArray[np.float32] = np.array([each.box_xywh for each in objects], np.float32).reshape(-1, 4)
    boxes[:, :2] += boxes[:, 2:] / 2
    classes = np.array([class_of[each.category] for each in objects], np.int32)
    scores = np.ones(len(objects), np.float32)
    return Detections(xywh_to_xyxy(boxes), scores, classes, found.class_names, found.image_size_hw)


def main() -> None:
    """Serve, find, print the table."""
    parser = argparse.ArgumentParser(prog="python -m sightline_bench.mosaic_recovery")
    parser.add_argument("--repository", type=Path, required=True)
    parser.add_argument("--model", required=True, help="a detector with a letterbox of the tile's size")
    parser.add_argument("--photos", type=Path, required=True, help="folder of JPEGs no larger than a tile")
    parser.add_argument("--annotations", type=Path, help="of the photos, as COCO's instances.json")
    parser.add_argument("--tile", type=int, default=640)
    parser.add_argument("--overlap", type=float, default=0.2)
    parser.add_argument("--tiles-only", action="store_true")
    given = parser.parse_args()
    truth = read_annotations(given.annotations) if given.annotations else None
    tiling = Tiling(tile=given.tile, overlap=given.overlap, whole=not given.tiles_only)
    options = ServerOptions(
        repository=given.repository, models=(given.model,), grpc_port=0, http_port=0, metrics_port=0
    )
    # Mixed, so that the mosaics do not follow the folder's order.
    files = sorted(given.photos.glob("*.jpg"))
    files = [file for first in range(COLUMNS) for file in files[first::COLUMNS]]
    print("| | found alone at 0.25 | alone at 0.4 | annotated: here and alone | duplicates |\n|---|---|---|---|---|")
    with ExitStack() as stack:
        url = stack.enter_context(EmbeddedServer(options)).grpc_url
        client = stack.enter_context(Client(url, model=given.model))
        tiled = stack.enter_context(Client(url, model=given.model, options=ClientOptions(tiling=tiling)))
        for row in measure(client, tiled, given.tile, files, truth):
            print(row, flush=True)


if __name__ == "__main__":
    main()
