"""Pictures that are larger than a tile, through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from tests.server import tiny_detector

from sightline import AsyncClient, Client, ClientOptions, Detections, EncodedImage, Tiling
from sightline.annotate import decode_upright
from sightline.boxes import areas, intersections, pairwise_iou
from sightline.errors import CorruptImageError, InvalidOptionError, UnreadableImageError
from sightline_export.repository import install_detector
from sightline_server.launcher import EmbeddedServer

TINY = "tiny_tiled"
"""Finds one object, as large as the picture; its score is the brightness."""
TILE = tiny_detector.IMAGE_SIZE
Picture = npt.NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def detector(repository: Path, load_model: Callable[[str], None]) -> None:
    install_detector(repository, TINY, tiny_detector.graph().SerializeToString(), tiny_detector.detector_info())
    load_model(TINY)


def bright(height: int, width: int, *, ending: str = ".png") -> bytes:
    return bytes(cv2.imencode(ending, np.full((height, width, 3), 204, np.uint8))[1])


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("tile", [TILE, 2 * TILE])
def test_an_object_larger_than_every_tile_is_one_object(server: EmbeddedServer, tile: int, whole: bool) -> None:
    options = ClientOptions(tiling=Tiling(tile=tile, whole=whole))
    with Client(server.grpc_url, model=TINY, options=options) as client:
        found = client.detect(bright(700, 1000))
    assert found.boxes_xyxy.tolist() == [[0, 0, 1000, 700]]
    assert found.image_size_hw == (700, 1000)


def test_small_and_large_pictures_in_one_stream_and_bad_ones_between(server: EmbeddedServer, tmp_path: Path) -> None:
    damaged = bytearray(bright(700, 1000))
    damaged[60:-20] = bytes(len(damaged) - 80)
    images: list[bytes | Path] = [
        bright(TILE, TILE),
        bright(700, 1000),
        bytes(damaged),
        tmp_path / "missing.jpg",
        bright(TILE // 2, 700, ending=".jpg"),
        bright(10, 20),
    ]
    options = ClientOptions(tiling=Tiling(tile=TILE), in_flight_pixels=100_000)
    with Client(server.grpc_url, model=TINY, options=options) as client:
        results = list(client.stream(images, batch_size=4))
    sizes = [result.detections and result.detections.boxes_xyxy.tolist() for result in results]
    assert [size and size[0][2:] for size in sizes] == [
        [TILE, TILE],
        [1000, 700],
        None,
        None,
        [700, TILE // 2],
        [20, 10],
    ]
    assert [type(result.error) for result in results[2:4]] == [CorruptImageError, UnreadableImageError]
    assert all(result.milliseconds for result in results if result.error is None)


def test_a_picture_turned_by_exif(server: EmbeddedServer, shared_data: Path) -> None:
    picture = shared_data / "awkward" / "orientation" / "Landscape_6.jpg"
    height, width = decode_upright(picture.read_bytes()).shape[:2]
    assert max(height, width) > TILE
    with Client(
        server.grpc_url, model=TINY, options=ClientOptions(tiling=Tiling(tile=TILE), score_threshold=0)
    ) as client:
        found = client.detect(picture)
    assert found.image_size_hw == (height, width)
    assert found.boxes_xyxy.tolist() == [[0, 0, width, height]]


def test_asyncio(server: EmbeddedServer) -> None:
    async def detect() -> list[Detections]:
        options = ClientOptions(tiling=Tiling(tile=TILE))
        async with AsyncClient(server.grpc_url, model=TINY, options=options) as client:
            alone = await client.detect(bright(400, 900))
            return [alone, *[result.unwrap() async for result in client.stream([bright(900, 400)])]]

    assert [found.boxes_xyxy.tolist() for found in asyncio.run(detect())] == [[[0, 0, 900, 400]], [[0, 0, 400, 900]]]


def test_tiles_must_match_the_network(server: EmbeddedServer, noop_model: str) -> None:
    options = ClientOptions(tiling=Tiling(tile=TILE))
    with Client(server.grpc_url, model=noop_model, options=options) as client:
        with pytest.raises(InvalidOptionError, match="do not match the network, which takes 640 x 640"):
            client.detect(bright(700, 1000))
        with pytest.raises(InvalidOptionError, match="do not match"):
            list(client.stream([bright(700, 1000)]))


CONFIDENT = 0.4
"""What is barely above the threshold alone may be below it anywhere else: the same photos, moved by 16 pixels and
without tiles, keep 88 % of what was found at 0.25, and 99 % of what was found at 0.4. That is what tiles must find."""
COLUMNS, ROWS = 5, 4


def mosaic(photos: Sequence[Path]) -> tuple[Picture, list[tuple[int, int]]]:
    """Photos side by side without gaps, and where each begins (x, y)."""
    pictures = [decode_upright(photo.read_bytes()) for photo in photos]
    rows = [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]
    width = max(sum(each.shape[1] for each in row) for row in rows)
    height = sum(max(each.shape[0] for each in row) for row in rows)
    whole, places, top = np.full((height, width, 3), 114, np.uint8), [], 0
    for row in rows:
        left = 0
        for each in row:
            whole[top : top + each.shape[0], left : left + each.shape[1]] = each
            places.append((left, top))
            left += each.shape[1]
        top += max(each.shape[0] for each in row)
    return whole, places


def matched(wanted: Detections, came: Detections) -> dict[int, int]:
    """Which of `came` is which of `wanted`: the same class, IoU of at least 0.5, best pairs first."""
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


def moved(found: Iterable[Detections], places: Sequence[tuple[int, int]], size_hw: tuple[int, int]) -> Detections:
    every = list(found)
    boxes = [each.boxes_xyxy + np.array(place * 2, np.float32) for each, place in zip(every, places, strict=True)]
    return Detections(
        np.concatenate(boxes),
        np.concatenate([each.scores for each in every]),
        np.concatenate([each.class_ids for each in every]),
        every[0].class_names,
        size_hw,
    )


def duplicates(came: Detections, pairs: dict[int, int]) -> list[int]:
    """Boxes that are nobody's, and lie mostly in one of the same class that is somebody's."""
    taken = np.array(sorted(pairs))
    found = []
    for other in set(range(len(came))) - set(pairs):
        alike = came.boxes_xyxy[taken[came.class_ids[taken] == came.class_ids[other]]]
        box = came.boxes_xyxy[[other]]
        if (intersections(box, alike)[0] > 0.6 * np.minimum(areas(box), areas(alike))).any():
            found.append(other)
    return found


def test_a_mosaic_gives_what_each_of_its_photos_gives(
    server: EmbeddedServer, serve_detector: Callable[[str], str], photos: list[Path]
) -> None:
    model = serve_detector("yolov8n")
    chosen = photos[7::5][: COLUMNS * ROWS]
    picture, places = mosaic(chosen)
    with Client(server.grpc_url, model=model, options=ClientOptions(score_threshold=0.05)) as client:
        alone = moved([result.unwrap() for result in client.stream(chosen)], places, picture.shape[:2])
    with Client(server.grpc_url, model=model, options=ClientOptions(tiling=Tiling(tile=640, overlap=0.2))) as client:
        tiled = client.detect(EncodedImage.from_array(picture[..., ::-1]))

    wanted = alone.only(alone.scores >= CONFIDENT)
    recovered = len(matched(wanted, tiled))
    assert len(wanted) > 80
    assert recovered >= 0.95 * len(wanted), f"{recovered} of {len(wanted)}"
    assert len(duplicates(tiled, matched(alone, tiled))) <= 0.02 * len(tiled)
